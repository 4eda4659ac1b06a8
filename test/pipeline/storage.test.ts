import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import type { Member } from '../../src/pipeline/member.ts';
import { compileStorage } from '../../src/pipeline/storage.ts';
import type { Storage, StorageBackend } from '../../src/plugin-api/storage.ts';
import { RequestScope } from '../../src/request-scope.ts';
import { toStorage } from '../../src/storage/backend-storage.ts';
import { kinds } from '../containment/support.ts';
import {
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

const METHODS = ['get', 'set', 'delete', 'increment', 'compareAndSet', 'list'] as const;

/** The store that must not be used in place of a plugin’s. */
const FORBIDDEN = Object.fromEntries(
  METHODS.map((method) => [method, () => assert.fail(`embedded ${method}() was used`)]),
) as unknown as Storage;

function storing(
  overrides: Partial<Record<(typeof METHODS)[number], unknown>>,
  options?: MemberOptions,
): TestMember {
  const backend = {
    get: () => 'theirs',
    set: () => undefined,
    delete: () => true,
    increment: () => 1,
    compareAndSet: () => true,
    list: () => ['b', 'a'],
    ...overrides,
  } as StorageBackend;
  return createMember(
    'store',
    (bag) => {
      bag.storageBackend = backend;
    },
    options,
  );
}

function compile(members: readonly Member[], embedded: Storage = FORBIDDEN): Storage {
  return compileStorage(new Containment(), members, embedded, toStorage);
}

/** Calls every method; what each came to. */
async function callAll(storage: Storage): Promise<unknown[]> {
  const calls = [
    () => storage.get('k'),
    () => storage.set('k', 1),
    () => storage.delete('k'),
    () => storage.increment('k'),
    () => storage.compareAndSet('k', 1, 2),
    () => storage.list(),
  ];
  const results = await Promise.allSettled(calls.map((call) => call()));
  return results.map((result) => (result.status === 'fulfilled' ? result.value : result.reason.code));
}

const UNAVAILABLE = Array.from({ length: 6 }, () => 'storage_unavailable');

describe('the store', () => {
  it('is the embedded one when no plugin brings another', () => {
    assert.equal(compile([createMember('a', () => undefined), createMember('b', null)]), FORBIDDEN);
  });

  it('is the plugin’s, whose methods may answer at once', async () => {
    assert.deepEqual(await callAll(compile([storing({})])), ['theirs', undefined, true, 1, true, ['a', 'b']]);
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`is unavailable, never silently another, when the plugin’s ${how}`, async () => {
      const bad = storing(Object.fromEntries(METHODS.map((method) => [method, fail])), { callTimeoutMs: 10 });
      assert.deepEqual(await callAll(compile([bad])), UNAVAILABLE);
      assert.deepEqual(new Set(kinds(bad.owner)), new Set([`storage ${kind}`]));
      assert.equal(bad.owner.failures.length, 6);
    });
  }

  it('is unavailable for a thrown 4xx too: a store has nobody to refuse', async () => {
    const bad = storing({ get: () => Promise.reject(refusal(404)) });
    await assert.rejects(compile([bad]).get('k'), { code: 'storage_unavailable', status: 503 });
  });

  it('is unavailable when the plugin’s answers have the wrong shape', async () => {
    const garbage = {
      get: () => () => 1,
      delete: () => 'yes',
      increment: () => Number.NaN,
      compareAndSet: () => 1,
      list: () => 'a',
    };
    const bad = storing(garbage);
    assert.deepEqual(await callAll(compile([bad])), UNAVAILABLE.with(1, undefined as never));
    assert.equal(bad.owner.failures.length, 5);
  });

  it('is unavailable while the plugin is quarantined', async () => {
    const resting = storing({ get: () => assert.fail('asked') }, { gate: createGate(false) });
    assert.deepEqual(await callAll(compile([resting])), UNAVAILABLE);
  });

  it('is the trial of a quarantined plugin when one is due', async () => {
    for (const [get, succeeded] of [
      [() => 'x', true],
      [() => Promise.reject(new Error('x')), false],
    ] as const) {
      const gate = createGate(true);
      await compile([storing({ get }, { gate })])
        .get('k')
        .catch(() => undefined);
      assert.deepEqual(gate.trials, [succeeded]);
    }
  });

  it('is unavailable when the plugin that should bring it did not start', async () => {
    assert.deepEqual(
      await callAll(compile([createMember('store', null, { guards: { storage: true } })])),
      UNAVAILABLE,
    );
  });

  it('carries the request of whoever asks into the plugin’s failure', async () => {
    const containment = new Containment();
    const bad = storing({ get: () => Promise.reject(new Error('x')) });
    const asking = createMember('asking', () => undefined);
    const store = compileStorage(containment, [bad], FORBIDDEN, toStorage);
    await containment.runAs({ owner: asking.owner, phase: 'route', request: new RequestScope('req-3') }, () =>
      store.get('k').catch(() => undefined),
    );
    assert.equal(bad.owner.failures[0]?.requestId, 'req-3');
    assert.deepEqual(asking.owner.failures, []);
  });
});
