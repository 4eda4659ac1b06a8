import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Clues, judge } from '../../src/watchdog/judge.ts';
import type { Suspect } from '../../src/watchdog/types.ts';

const A: Suspect = { id: 1, name: 'a', specifier: 'plugins/a', root: '/plugins/a' };
const B: Suspect = { id: 2, name: 'b', specifier: 'plugins/b.mjs', root: '/plugins/b.mjs' };
const NEW: Suspect = { id: -1, name: 'new', specifier: 'plugins/new', root: '/plugins/new' };

function clues(seen: Partial<Clues>): Clues {
  const suspects = new Map([A, B, NEW].map((suspect) => [suspect.id, suspect]));
  return { marked: null, importing: 0, frames: [], suspects, ...seen };
}

function frame(path: string, functionName = ''): Clues['frames'][number] {
  return { path, functionName, line: 3, column: 7 };
}

describe('who holds the thread up', () => {
  test('the plugin that is called, although it is in the code of another one', () => {
    const frames = [frame('/plugins/b.mjs', 'help'), frame('/plugins/a/src/index.js')];
    const judged = judge(clues({ marked: { id: 1, phase: 'hook' }, frames }));
    assert.deepEqual(judged, { suspect: A, phase: 'hook', place: 'src/index.js:3:7' });
  });

  test('the plugin that is called, when nothing of it can be seen', () => {
    const judged = judge(clues({ marked: { id: 2, phase: 'route' } }));
    assert.deepEqual(judged, { suspect: B, phase: 'route', place: null });
  });

  test('outside of calls the plugin whose code is innermost; a single file is told by its name', () => {
    const frames = [frame('/modules/x.js'), frame('/plugins/b.mjs', 'tick'), frame('/plugins/a/index.js')];
    assert.deepEqual(judge(clues({ frames })), {
      suspect: B,
      phase: 'background',
      place: 'b.mjs:3:7 (tick)',
    });
  });

  test('the module that is being imported, unless the code of another plugin is seen to run', () => {
    const own = judge(clues({ importing: -1, frames: [frame('/plugins/new/index.js')] }));
    assert.deepEqual(own, { suspect: NEW, phase: 'import', place: 'index.js:3:7' });
    assert.deepEqual(judge(clues({ importing: -1 })), { suspect: NEW, phase: 'import', place: null });
    const other = judge(clues({ importing: -1, frames: [frame('/plugins/a/index.js')] }));
    assert.deepEqual([other.suspect, other.phase], [A, 'background']);
  });

  test('nobody for what is not a plugin’s', () => {
    const judged = judge(clues({ frames: [frame('/gateway/src/http/server.ts', 'serve')] }));
    assert.deepEqual(judged, {
      suspect: null,
      phase: null,
      place: '/gateway/src/http/server.ts:3:7 (serve)',
    });
    assert.deepEqual(judge(clues({})), { suspect: null, phase: null, place: null });
  });

  test('nobody for a mark whose owner is not known', () => {
    assert.equal(judge(clues({ marked: { id: 9, phase: 'route' } })).suspect, null);
  });
});
