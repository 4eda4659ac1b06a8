import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { StorageOptions, StorageValue } from '../../src/plugin-api/storage.ts';
import { namespaced } from '../../src/storage/namespaced.ts';
import { type EmbeddedStore, openSqliteStore } from '../../src/storage/sqlite-store.ts';
import { testStorage } from '../support/storage-conformance.ts';

let dir: string;
let store: EmbeddedStore;
const clock = { time: Date.now(), now: () => clock.time };

function openStore(): void {
  dir = mkdtempSync(join(tmpdir(), 'routeiq-namespace-'));
  store = openSqliteStore({ dir, clock });
}

function closeStore(): void {
  store.close();
  rmSync(dir, { recursive: true });
}

testStorage('a namespace', async () => {
  openStore();
  await store.set('outside', 1);
  return {
    storage: namespaced(store, 'my-plugin'),
    advance: async (ms) => {
      clock.time += ms;
    },
    close: async () => closeStore(),
  };
});

describe('a namespace', () => {
  beforeEach(openStore);
  afterEach(closeStore);

  it('lets no key lead into another one', async () => {
    const text = fc.string({ unit: fc.constantFrom('a', ':', '%', '3', 'A', '.', '\0', '/'), maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(text, text, text, text, async (nameA, nameB, keyA, keyB) => {
        fc.pre(nameA !== nameB);
        const [a, b] = [namespaced(store, nameA), namespaced(store, nameB)];
        await b.delete(keyB);
        await a.set(keyA, 'of a');
        assert.equal(await b.get(keyB), undefined);
        assert.deepEqual(await b.list(), []);
        await a.delete(keyA);
      }),
    );
  });

  it('cannot be changed', () => {
    assert.ok(Object.isFrozen(namespaced(store, 'a')));
  });

  it('refuses wrong arguments before the store sees them', async () => {
    store.close();
    const mine = namespaced(store, 'a');
    await assert.rejects(mine.get(undefined as unknown as string), TypeError);
    await assert.rejects(mine.set('k', Number.NaN), TypeError);
    await assert.rejects(mine.set('k', 1, { ttlMs: -1 }), TypeError);
    for (const options of [60_000, { ttl: 60 }, { ttlMs: 1, ttl: 60 }, null, 'PX']) {
      const refusal = { name: 'TypeError', message: /expected \{ ttlMs: milliseconds \}/ };
      await assert.rejects(mine.set('k', 1, options as StorageOptions), refusal);
      await assert.rejects(mine.increment('k', 1, options as StorageOptions), refusal);
      await assert.rejects(mine.compareAndSet('k', 1, 2, options as StorageOptions), refusal);
    }
    await assert.rejects(mine.increment('k', Number.NaN), TypeError);
    await assert.rejects(mine.compareAndSet('k', new Date() as unknown as StorageValue, 1), TypeError);
    await assert.rejects(mine.list('\uDC00'), TypeError);
  });
});
