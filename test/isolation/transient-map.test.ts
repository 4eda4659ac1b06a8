import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { TransientMap } from '../../src/isolation/channel/transient-map.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { readonly type: 'major' | 'minor' }) => void;

const AT_ONCE = 64;
const ENTRIES = 20_000;
const ENTRY_BYTES = 4096;

describe('a transient map', () => {
  it('has what a map would have, and takes it out', () => {
    const step = fc.record({ key: fc.integer({ min: 0, max: 9 }), takes: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const model = new Map<number, object>();
        const map = new TransientMap<number, object>();
        for (const { key, takes } of steps) {
          if (takes) {
            assert.equal(map.take(key), model.get(key));
            model.delete(key);
          } else {
            const value = {};
            model.set(key, value);
            map.set(key, value);
          }
          assert.equal(map.get(key), model.get(key));
          assert.equal(map.has(key), model.has(key));
          assert.equal(map.size, model.size);
        }
        assert.deepEqual(map.values(), [...model.values()]);
        map.clear();
        assert.equal(map.size, 0);
      }),
    );
  });

  it('keeps nothing of what was deleted from minor collections', () => {
    const map = new TransientMap<number, readonly number[]>();
    const pass = (entries: number): void => {
      for (let n = 0; n < entries; n++) {
        map.set(n, new Array<number>(ENTRY_BYTES / 8).fill(n));
        map.take(n - AT_ONCE);
      }
      for (let n = entries - AT_ONCE; n < entries; n++) map.take(n);
    };
    pass(AT_ONCE);
    // Its table is an old object from now on.
    collect({ type: 'major' });
    collect({ type: 'minor' });
    const before = process.memoryUsage().heapUsed;
    pass(ENTRIES);
    collect({ type: 'minor' });
    const grown = process.memoryUsage().heapUsed - before;
    assert.ok(grown < (ENTRIES * ENTRY_BYTES) / 20, `${grown} bytes are still there`);
  });
});
