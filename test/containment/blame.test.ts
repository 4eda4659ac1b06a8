import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Containment } from '../../src/containment/containment.ts';
import { RequestScope } from '../../src/request-scope.ts';
import { createOwner, kinds } from './support.ts';

/** Writes modules that export functions, and imports them. */
async function modules<T extends string>(
  t: TestContext,
  files: Readonly<Record<T, string>>,
): Promise<{
  root: string;
  load: (path: T, query?: string) => Promise<Record<string, (...args: never[]) => unknown>>;
}> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'routeiq-blame-')));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries<string>(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { root, load: async (path, query = '') => import(pathToFileURL(join(root, path)).href + query) };
}

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  assert.fail('nothing was thrown');
}

const THROWS = 'export function fail() { throw new Error("x"); }\nexport function run(fn) { return fn(); }';
const THROWS_CJS = 'exports.fail = function () { throw new Error("x"); };';

describe('blame', () => {
  it('falls on the owner of the asynchronous context', () => {
    const containment = new Containment();
    const owner = createOwner('a');
    containment.adopt(owner);
    const blamed = containment.runAs({ owner, phase: 'route', request: new RequestScope('r') }, () =>
      containment.blame(new Error('late')),
    );
    assert.equal(blamed, true);
    assert.deepEqual(kinds(owner), ['route late']);
    assert.equal(owner.failures[0]?.requestId, 'r');
  });

  it('falls on the owner of the context rather than on that of the stack', async (t) => {
    const { root, load } = await modules(t, { 'b/index.mjs': THROWS });
    const containment = new Containment();
    const a = createOwner('a');
    const b = createOwner('b', { root: join(root, 'b') });
    containment.adopt(a);
    containment.adopt(b);
    const error = thrownBy((await load('b/index.mjs')).fail as () => void);
    containment.runAs({ owner: a, phase: 'hook', request: null }, () => containment.blame(error));
    assert.deepEqual([a.failures.length, b.failures.length], [1, 0]);
  });

  for (const [format, file, text] of [
    ['an ES module', 'a/index.mjs', THROWS],
    ['a CommonJS module', 'a/index.cjs', THROWS_CJS],
    [
      'TypeScript',
      'a/index.ts',
      THROWS.replace('fn)', 'fn: () => unknown): unknown').replace('fail()', 'fail(): never'),
    ],
    ['a folder with blanks and parentheses', 'a/lib (copy)/index.mjs', THROWS],
  ] as const) {
    it(`falls on the owner of the stack’s innermost file without a context: ${format}`, async (t) => {
      const { root, load } = await modules(t, { [file]: text });
      const containment = new Containment();
      const owner = createOwner('a', { root: join(root, 'a') });
      containment.adopt(owner);
      const { fail } = await load(file);
      assert.equal(containment.blame(thrownBy(fail as () => void)), true);
      assert.deepEqual(kinds(owner), ['background late']);
      assert.equal(owner.failures[0]?.requestId, null);
    });
  }

  it('reads anonymous asynchronous frames', async (t) => {
    const file = 'a/index.mjs';
    const text = 'export const fail = (fn) => (async () => { await null; await fn(); })();';
    const { root, load } = await modules(t, { [file]: text });
    const containment = new Containment();
    const owner = createOwner('a', { root: join(root, 'a') });
    containment.adopt(owner);
    const { fail } = await load(file);
    const fromHost = async (): Promise<never> => {
      await null;
      throw new Error('of the host, awaited by the plugin');
    };
    const error = await (fail as unknown as (fn: () => unknown) => Promise<void>)(fromHost).catch(
      (thrown: unknown) => thrown,
    );
    assert.match((error as Error).stack ?? '', /at async file:/);
    assert.equal(containment.blame(error), true);
    assert.equal(owner.failures.length, 1);
  });

  it('sees through the query of a reloaded module', async (t) => {
    const { root, load } = await modules(t, { 'a/index.mjs': THROWS });
    const containment = new Containment();
    const owner = createOwner('a', { root: join(root, 'a') });
    containment.adopt(owner);
    const { fail } = await load('a/index.mjs', '?generation=2');
    assert.equal(containment.blame(thrownBy(fail as () => void)), true);
  });

  it('falls on the innermost plugin: who calls another’s code is not to blame for it', async (t) => {
    const { root, load } = await modules(t, { 'a/index.mjs': THROWS, 'b/index.mjs': THROWS });
    const containment = new Containment();
    const a = createOwner('a', { root: join(root, 'a') });
    const b = createOwner('b', { root: join(root, 'b') });
    containment.adopt(a);
    containment.adopt(b);
    const { run } = (await load('a/index.mjs')) as unknown as { run: (fn: () => void) => void };
    const { fail } = (await load('b/index.mjs')) as unknown as { fail: () => void };
    containment.blame(thrownBy(() => run(fail)));
    assert.deepEqual([a.failures.length, b.failures.length], [0, 1]);
  });

  it('falls on the plugin with the deepest folder when one lies inside another', async (t) => {
    const { root, load } = await modules(t, { 'a/index.mjs': THROWS, 'a/inner/index.mjs': THROWS });
    const containment = new Containment();
    const inner = createOwner('inner', { root: join(root, 'a/inner') });
    const outer = createOwner('outer', { root: join(root, 'a') });
    containment.adopt(inner);
    containment.adopt(outer);
    containment.blame(thrownBy((await load('a/inner/index.mjs')).fail as () => void));
    containment.blame(thrownBy((await load('a/index.mjs')).fail as () => void));
    assert.deepEqual([inner.failures.length, outer.failures.length], [1, 1]);
  });

  it('does not take one folder for another that begins with its name', async (t) => {
    const { root, load } = await modules(t, { 'a-b/index.mjs': THROWS });
    const containment = new Containment();
    const owner = createOwner('a', { root: join(root, 'a') });
    containment.adopt(owner);
    assert.equal(containment.blame(thrownBy((await load('a-b/index.mjs')).fail as () => void)), false);
    assert.deepEqual(owner.failures, []);
  });

  it('knows a plugin that is a single file by that file alone', async (t) => {
    const { root, load } = await modules(t, { 'one.mjs': THROWS, 'two.mjs': THROWS });
    const containment = new Containment();
    const owner = createOwner('one', { root: join(root, 'one.mjs') });
    containment.adopt(owner);
    assert.equal(containment.blame(thrownBy((await load('two.mjs')).fail as () => void)), false);
    assert.equal(containment.blame(thrownBy((await load('one.mjs')).fail as () => void)), true);
  });

  it('falls on nobody for the gateway’s own errors', () => {
    const containment = new Containment();
    const owner = createOwner('a', { root: '/opt/plugins/a' });
    containment.adopt(owner);
    assert.equal(containment.blame(new Error('ours')), false);
    assert.deepEqual(owner.failures, []);
  });

  for (const [what, thrown] of [
    ['undefined', undefined],
    ['null', null],
    ['a string', '    at /opt/plugins/a/index.js:1:1'],
    [
      'an error whose stack is no string',
      Object.assign(new Error('x'), { stack: { split: () => ['hostile'] } }),
    ],
    [
      'an error whose stack getter throws',
      Object.defineProperty(new Error('x'), 'stack', {
        get() {
          throw new Error('hostile');
        },
      }),
    ],
    [
      'an error whose frame is no valid file URL',
      Object.assign(new Error('x'), { stack: 'Error\n    at file://host/%2F:1:1' }),
    ],
  ] as const) {
    it(`falls on nobody, and does not throw, for ${what}`, () => {
      const containment = new Containment();
      containment.adopt(createOwner('a', { root: '/opt/plugins/a' }));
      containment.adopt(createOwner('rootless'));
      assert.equal(containment.blame(thrown), false);
    });
  }

  it('does not fall on an owner that was disowned', async (t) => {
    const { root, load } = await modules(t, { 'a/index.mjs': THROWS });
    const containment = new Containment();
    const owner = createOwner('a', { root: join(root, 'a') });
    containment.adopt(owner);
    containment.disown(owner);
    assert.equal(containment.blame(thrownBy((await load('a/index.mjs')).fail as () => void)), false);
  });
});
