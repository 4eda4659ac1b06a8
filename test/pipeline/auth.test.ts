import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileAuth } from '../../src/pipeline/auth.ts';
import type { AuthProvider } from '../../src/plugin-api/auth.ts';
import { kinds } from '../containment/support.ts';
import {
  authRequest,
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

function provider(name: string, authenticate: () => unknown, options?: MemberOptions): TestMember {
  const authProvider = { name, authenticate } as AuthProvider;
  return createMember(name, (bag) => void bag.authProviders.push(authProvider), options);
}

function auth(...members: TestMember[]): () => Promise<unknown> {
  const { auth: phase } = compileAuth(new Containment(), members);
  assert.ok(phase);
  return async () => phase(authRequest(), null);
}

const nobody = (): never => assert.fail('asked');

describe('the auth phase', () => {
  it('is null when no plugin authenticates', () => {
    const members = [createMember('a', () => undefined), createMember('b', null)];
    assert.deepEqual(compileAuth(new Containment(), members), { auth: null, accounts: null });
  });

  it('takes the first identity in load order and asks no further', async () => {
    const answer = await auth(
      provider('a', () => null),
      provider('b', async () => ({ id: 'b' })),
      provider('c', nobody),
    )();
    assert.deepEqual(answer, { id: 'b' });
  });

  it('gives a frozen copy of whatever can be copied, and lets nobody in with what cannot', async () => {
    const since = new Date(0);
    const given: Record<string, unknown> = { id: 'a', teams: [{ name: 'x' }], since, none: undefined };
    const plain = { id: 'a', teams: [{ name: 'x' }] };
    const endless: Record<string, unknown> = { id: 'c' };
    endless.self = endless;
    const copy = (await auth(provider('a', () => given))()) as typeof given;
    const copied = (await auth(provider('a', () => plain))()) as typeof plain;
    assert.deepEqual([copy, copied], [given, plain]);
    assert.notEqual(copy.since, since);
    plain.teams[0] = { name: 'changed' };
    assert.equal(copied.teams[0]?.name, 'x');
    for (const teams of [copy.teams, copied.teams]) {
      assert.throws(() => (teams as unknown[]).push('y'), TypeError);
      assert.throws(() => Object.assign((teams as object[])[0] as object, { name: 'y' }), TypeError);
    }
    const circle = (await auth(provider('c', () => endless))()) as typeof endless;
    assert.equal(circle.self, circle);
    const uncopied = provider('f', () => ({ id: 'f', call: () => undefined }));
    await assert.rejects(auth(uncopied)(), { code: 'auth_unavailable' });
  });

  it('answers 401 when nobody knows the client', async () => {
    await assert.rejects(
      auth(
        provider('a', () => null),
        provider('b', async () => null),
      )(),
      {
        code: 'authentication_error',
        status: 401,
      },
    );
  });

  for (const status of [401, 403]) {
    it(`passes a thrown ${status} on, and asks no further`, async () => {
      const thrown = refusal(status);
      const refuses = provider('a', () => {
        throw thrown;
      });
      await assert.rejects(auth(refuses, provider('b', nobody))(), (error) => error === thrown);
      assert.deepEqual(refuses.owner.failures, []);
    });
  }

  for (const [how, fail, kind] of FAILURES) {
    it(`lets nobody in when a provider ${how}`, async () => {
      const bad = provider('bad', fail, { callTimeoutMs: 10 });
      await assert.rejects(auth(bad, provider('b', nobody))(), {
        code: 'auth_unavailable',
        status: 503,
        message: 'Authentication is unavailable',
      });
      assert.deepEqual(kinds(bad.owner), [`auth ${kind}`]);
    });
  }

  for (const garbage of [
    undefined,
    true,
    'admin',
    1,
    [],
    [{ id: 'x' }],
    {},
    { id: true },
    { id: '' },
    { id: null, sub: true },
    { id: 'x', run: () => 1 },
    {
      get id() {
        throw refusal(404);
      },
    },
  ]) {
    it(`lets nobody in for ${typeof garbage === 'object' ? `an identity like ${Object.keys(garbage)}` : String(garbage)}`, async () => {
      const bad = provider('bad', () => garbage);
      await assert.rejects(auth(bad, provider('b', nobody))(), { code: 'auth_unavailable' });
      assert.deepEqual(kinds(bad.owner), ['auth invalid']);
    });
  }

  it('lets nobody in while a provider is quarantined, however willing the next one', async () => {
    const gate = createGate(false);
    const bad = provider('bad', nobody, { gate });
    await assert.rejects(auth(bad, provider('b', nobody))(), { code: 'auth_unavailable' });
    assert.deepEqual(gate.trials, []);
  });

  it('lets in whom an earlier provider knows, though a later one is quarantined', async () => {
    const bad = provider('bad', nobody, { gate: createGate(false) });
    assert.deepEqual(
      await auth(
        provider('a', () => ({ id: 'a' })),
        bad,
      )(),
      { id: 'a' },
    );
  });

  it('is the trial of a quarantined provider when one is due', async () => {
    for (const [authenticate, succeeded] of [
      [() => ({ id: 'x' }), true],
      [() => null, true],
      [() => Promise.reject(refusal(401)), true],
      [() => Promise.reject(new Error('x')), false],
      [() => 'garbage', false],
    ] as const) {
      const gate = createGate(true);
      await auth(provider('a', authenticate, { gate }))().catch(() => undefined);
      assert.deepEqual(gate.trials, [succeeded]);
    }
  });

  it('lets nobody in when a plugin that should authenticate did not start', async () => {
    const missing = createMember('missing', null, { guards: { auth: true } });
    await assert.rejects(auth(missing, provider('b', nobody))(), { code: 'auth_unavailable' });
    assert.deepEqual(
      await auth(
        provider('a', () => ({ id: 'a' })),
        missing,
      )(),
      { id: 'a' },
    );
  });

  it('gives an identity that nobody can change, the provider least of all', async () => {
    const own = { id: 'team', scopes: ['read'], limits: { rpm: 1 } };
    const identity = (await auth(provider('a', () => own))()) as typeof own;
    own.scopes.push('admin:keys');
    own.limits.rpm = 1_000;
    assert.deepEqual(identity, { id: 'team', scopes: ['read'], limits: { rpm: 1 } });
    assert.throws(() => identity.scopes.push('admin:keys'), TypeError);
    assert.throws(() => {
      identity.limits.rpm = 1_000;
    }, TypeError);
    assert.throws(() => Object.assign(identity, { id: 'root' }), TypeError);
  });

  it('takes the id from a token’s sub, or the provider’s name, where there is none', async () => {
    assert.deepEqual(await auth(provider('jwt', () => ({ sub: 'u1' })))(), { sub: 'u1', id: 'u1' });
    assert.deepEqual(await auth(provider('open', () => ({ team: 1 })))(), { team: 1, id: 'open' });
    assert.deepEqual(await auth(provider('db', () => ({ id: 7 })))(), { id: '7' });
  });
});
