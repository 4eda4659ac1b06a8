import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { letHeapGrow } from '../../src/cli/heap-growth.ts';

/** Lets a heap of 30 MiB grow by 45 MiB. */
const GROW = `
import { setImmediate as nextTurn } from 'node:timers/promises';

const kept = [];
const keepMebibytes = (count) => {
  for (let i = 0; i < count * 16; i++) kept.push(Array.from({ length: 8192 }, (_, k) => k + 0.5));
};
keepMebibytes(30);
globalThis.gc();
console.log('grows');
keepMebibytes(45);
for (let turn = 0; turn < 10; turn++) await nextTurn();
`;

/** V8's words on the full collections that it begins while the heap grows. What it does when idle is switched off. */
async function collectionsOfGrowth(before: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv.filter((option) => option.startsWith('--conditions')),
    ...['--expose-gc', '--no-memory-reducer', '--trace-incremental-marking'],
    ...['--input-type=module', '--eval', before + GROW],
  ]);
  const [, growth = ''] = stdout.split('grows\n');
  return growth.split('\n').filter((line) => line.includes('[IncrementalMarking] Start ('));
}

describe('the growth of the heap', () => {
  it('is not interrupted by full collections until it has quadrupled', async () => {
    const module = new URL('../../src/cli/heap-growth.ts', import.meta.url);
    const before = `import { letHeapGrow } from ${JSON.stringify(module.href)}; letHeapGrow([]);`;
    assert.deepEqual(await collectionsOfGrowth(before), []);
  });

  for (const option of ['--heap-growing-percent=50', '--heap_growing_percent=50']) {
    it(`stays what the operator has chosen with ${option}`, () => {
      const flags: string[] = [];
      letHeapGrow(['--enable-source-maps', option], (text) => flags.push(text));
      assert.deepEqual(flags, []);
    });
  }
});
