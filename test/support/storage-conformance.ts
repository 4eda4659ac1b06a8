import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Storage, StorageValue } from '../../src/plugin-api/storage.ts';

/** A store under test. */
export interface StorageHarness {
  readonly storage: Storage;
  /** Lets time pass for the store: a fake clock moves, or the time is really waited for. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

const LATER = 50;

/**
 * What every {@link Storage} promises, as tests. Each opens a new, empty store.
 *
 * @param open opens an empty store
 */
export function testStorage(name: string, open: () => Promise<StorageHarness>): void {
  describe(`${name}: conformance`, () => {
    let harness: StorageHarness;
    let storage: Storage;
    beforeEach(async () => {
      harness = await open();
      storage = harness.storage;
    });
    afterEach(() => harness.close());

    const values: StorageValue[] = [
      null,
      true,
      false,
      0,
      -1.5,
      1e300,
      '',
      'text \u{1F600}\0\n',
      [],
      [1, [null]],
      {},
    ];
    for (const value of [...values, { b: 1, a: { nested: ['x'] } }]) {
      it(`gives back ${JSON.stringify(value)}`, async () => {
        await storage.set('k', value);
        assert.deepEqual(await storage.get('k'), value);
      });
    }

    it('gives back any JSON under any key', async () => {
      const json = fc
        .jsonValue({ noUnicodeString: false })
        .map((value) => JSON.parse(JSON.stringify(value)) as StorageValue);
      const key = fc.string({ unit: 'binary' });
      await fc.assert(
        fc.asyncProperty(key, json, async (name, value) => {
          await storage.set(name, value);
          assert.deepEqual(await storage.get(name), value);
          assert.ok((await storage.list(name)).includes(name));
        }),
        { numRuns: 50 },
      );
    });

    it('knows nothing of absent keys', async () => {
      assert.equal(await storage.get('k'), undefined);
      assert.equal(await storage.delete('k'), false);
      assert.deepEqual(await storage.list(), []);
    });

    it('takes names that objects inherit as ordinary keys', async () => {
      for (const key of ['__proto__', 'constructor', 'toString']) {
        assert.equal(await storage.get(key), undefined);
        await storage.set(key, key);
        assert.equal(await storage.get(key), key);
      }
    });

    it('tells keys apart by case and by trailing blanks', async () => {
      for (const key of ['a', 'A', 'a ', 'a\0']) await storage.set(key, key);
      for (const key of ['a', 'A', 'a ', 'a\0']) assert.equal(await storage.get(key), key);
    });

    it('replaces a value, and its time to live with it', async () => {
      await storage.set('k', 1, { ttlMs: LATER });
      await storage.set('k', 2);
      await harness.advance(2 * LATER);
      assert.equal(await storage.get('k'), 2);
    });

    it('deletes', async () => {
      await storage.set('k', 1);
      assert.equal(await storage.delete('k'), true);
      assert.equal(await storage.delete('k'), false);
      assert.equal(await storage.get('k'), undefined);
    });

    it('keeps a value for its time to live, and then behaves as if it had never been there', async () => {
      await storage.set('k', 1, { ttlMs: LATER });
      assert.equal(await storage.get('k'), 1);
      await harness.advance(2 * LATER);
      assert.equal(await storage.get('k'), undefined);
      assert.deepEqual(await storage.list(), []);
      assert.equal(await storage.compareAndSet('k', 1, 2), false);
      assert.equal(await storage.delete('k'), false);
    });

    it('takes an expired key as absent in compareAndSet and increment', async () => {
      await storage.set('a', 5, { ttlMs: LATER });
      await storage.set('b', 5, { ttlMs: LATER });
      await harness.advance(2 * LATER);
      assert.equal(await storage.compareAndSet('a', undefined, 'new'), true);
      assert.equal(await storage.get('a'), 'new');
      assert.equal(await storage.increment('b'), 1);
    });

    it('counts from 0, up and down', async () => {
      assert.equal(await storage.increment('n'), 1);
      assert.equal(await storage.increment('n', 41), 42);
      assert.equal(await storage.increment('n', -2), 40);
      assert.equal(await storage.get('n'), 40);
    });

    it('counts every one of many increments at once', async () => {
      await Promise.all(Array.from({ length: 50 }, () => storage.increment('n')));
      assert.equal(await storage.get('n'), 50);
    });

    it('applies a time to live to a new counter only', async () => {
      await storage.increment('n', 1, { ttlMs: 4 * LATER });
      await harness.advance(2 * LATER);
      assert.equal(await storage.increment('n', 1, { ttlMs: 4 * LATER }), 2);
      await harness.advance(3 * LATER);
      assert.equal(await storage.increment('n', 1), 1);
    });

    it('refuses to count what is no number, and leaves it as it was', async () => {
      await storage.set('k', 'text');
      await assert.rejects(storage.increment('k'));
      assert.equal(await storage.get('k'), 'text');
    });

    it('sets a value only if the current one is as expected', async () => {
      assert.equal(await storage.compareAndSet('k', 1, 2), false);
      assert.equal(await storage.get('k'), undefined);
      assert.equal(await storage.compareAndSet('k', undefined, 1), true);
      assert.equal(await storage.compareAndSet('k', undefined, 3), false);
      assert.equal(await storage.compareAndSet('k', 2, 3), false);
      assert.equal(await storage.compareAndSet('k', 1, 3), true);
      assert.equal(await storage.get('k'), 3);
    });

    it('tells an expected null from an absent key', async () => {
      assert.equal(await storage.compareAndSet('k', null, 1), false);
      await storage.set('k', null);
      assert.equal(await storage.compareAndSet('k', undefined, 1), false);
      assert.equal(await storage.compareAndSet('k', null, 1), true);
    });

    it('compares values, not texts: the order of keys does not matter', async () => {
      await storage.set('k', { a: 1, b: { c: [1], d: 2 } });
      assert.equal(await storage.compareAndSet('k', { b: { d: 2, c: [1] }, a: 1 }, 'yes'), true);
    });

    it('gives a time to live with compareAndSet', async () => {
      await storage.compareAndSet('k', undefined, 1, { ttlMs: LATER });
      await harness.advance(2 * LATER);
      assert.equal(await storage.get('k'), undefined);
    });

    it('lets one of many compareAndSet at once win', async () => {
      const wins = await Promise.all(
        Array.from({ length: 20 }, (_, n) => storage.compareAndSet('k', undefined, n)),
      );
      assert.equal(wins.filter(Boolean).length, 1);
    });

    it('lists keys by prefix, sorted by code unit', async () => {
      const keys = [
        'a',
        'a%',
        'a%b',
        'a_',
        'a*',
        'A',
        'ab',
        'b',
        'a\u{1F600}',
        'a\uFFFD',
        'a\u{10FFFF}',
        'a\uD7FF',
        'a\uE000',
      ];
      for (const key of keys) await storage.set(key, 1);
      assert.deepEqual(await storage.list(), keys.toSorted());
      for (const prefix of ['a', 'a%', 'a_', 'a*', 'A', 'a\u{10FFFF}', 'a\uD7FF', 'a\u{1F600}', 'none']) {
        const expected = keys.filter((key) => key.startsWith(prefix)).sort();
        assert.deepEqual(await storage.list(prefix), expected, JSON.stringify(prefix));
      }
    });
  });
}
