import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StorageBackend, StorageOptions, StorageValue } from '../../src/plugin-api/storage.ts';
import { toStorage } from '../../src/storage/backend-storage.ts';
import { toCanonicalJson } from '../../src/storage/canonical-json.ts';
import { testStorage } from '../support/storage-conformance.ts';

/** A backend as a plugin might write it: in memory, all of it synchronous, keys listed as they come. */
class MemoryBackend implements StorageBackend {
  time = 0;
  readonly #entries = new Map<string, { value: StorageValue; expires: number }>();

  get(key: string): StorageValue | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expires > this.time ? entry.value : undefined;
  }

  set(key: string, value: StorageValue, options?: StorageOptions): void {
    this.#entries.set(key, { value, expires: this.time + (options?.ttlMs ?? Number.POSITIVE_INFINITY) });
  }

  delete(key: string): boolean {
    const there = this.get(key) !== undefined;
    this.#entries.delete(key);
    return there;
  }

  increment(key: string, by = 1, options?: StorageOptions): number {
    const current = this.get(key);
    if (current === undefined) this.set(key, 0, options);
    else if (typeof current !== 'number') throw new TypeError('not a number');
    const sum = Number(current ?? 0) + by;
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.value = sum;
    return sum;
  }

  compareAndSet(
    key: string,
    expected: StorageValue | undefined,
    value: StorageValue,
    options?: StorageOptions,
  ): boolean {
    const current = this.get(key);
    const same =
      current === undefined || expected === undefined
        ? current === expected
        : toCanonicalJson(current) === toCanonicalJson(expected);
    if (same) this.set(key, value, options);
    return same;
  }

  list(prefix = ''): string[] {
    return [...this.#entries.keys()].filter((key) => key.startsWith(prefix) && this.get(key) !== undefined);
  }
}

testStorage('a synchronous backend', async () => {
  const backend = new MemoryBackend();
  return {
    storage: toStorage(backend),
    advance: async (ms) => {
      backend.time += ms;
    },
    close: async () => {},
  };
});

describe('a backend', () => {
  function withMethods(methods: Record<string, (...args: unknown[]) => unknown>): StorageBackend {
    return Object.assign(new MemoryBackend(), methods) as StorageBackend;
  }

  const wrong: [method: keyof StorageBackend, answers: unknown[]][] = [
    ['get', [() => 1, Number.NaN, new Date(0), Symbol('x'), 10n, [undefined]]],
    ['delete', [undefined, 1, null, 'true']],
    ['increment', [undefined, '1', Number.NaN, 1n, Number.POSITIVE_INFINITY]],
    ['compareAndSet', [undefined, 'OK', 1]],
    ['list', [undefined, 'a', [1], [null], { length: 0 }, ['b']]],
  ];
  for (const [method, answers] of wrong) {
    for (const answer of answers) {
      it(`fails when ${method}() answers with ${describeAnswer(answer)}`, async () => {
        for (const give of [() => answer, async () => answer]) {
          const storage = toStorage(withMethods({ [method]: give }));
          const calls = {
            get: () => storage.get('a'),
            delete: () => storage.delete('a'),
            increment: () => storage.increment('a'),
            compareAndSet: () => storage.compareAndSet('a', 1, 2),
            list: () => storage.list('a'),
          };
          await assert.rejects(calls[method as keyof typeof calls](), {
            name: 'TypeError',
            message: new RegExp(`^storage backend: ${method}\\(\\)`),
          });
        }
      });
    }
  }

  it('passes on what it throws or rejects with', async () => {
    const down = new Error('down');
    const throwing = () => {
      throw down;
    };
    await assert.rejects(toStorage(withMethods({ get: throwing })).get('a'), down);
    await assert.rejects(toStorage(withMethods({ set: () => Promise.reject(down) })).set('a', 1), down);
  });

  it('does not put its own values into the message', async () => {
    const storage = toStorage(withMethods({ increment: () => 'secret-token' }));
    await assert.rejects(storage.increment('a'), (error: Error) => !error.message.includes('secret-token'));
  });
});

function describeAnswer(answer: unknown): string {
  return typeof answer === 'object' ? JSON.stringify(answer) : String(answer);
}
