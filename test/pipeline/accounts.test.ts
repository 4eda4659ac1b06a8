import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileAuth } from '../../src/pipeline/auth.ts';
import type { AccountsPhase, Pipeline } from '../../src/pipeline/types.ts';
import type { AuthProvider, Identity, UsageEstimate, UsageOutcome } from '../../src/plugin-api/auth.ts';
import {
  authRequest,
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

const OUTCOME: UsageOutcome = { answered: true, usage: null, costUsd: null };

function keeper(name: string, provider: Partial<AuthProvider>, options?: MemberOptions): TestMember {
  const authProvider: AuthProvider = {
    name,
    authenticate: () => ({ id: name }),
    reserve: () => null,
    settle: () => undefined,
    ...provider,
  };
  return createMember(name, (bag) => void bag.authProviders.push(authProvider), options);
}

interface Opened {
  readonly accounts: AccountsPhase;
  readonly identity: Identity;
}

async function open(...members: TestMember[]): Promise<Opened> {
  const { auth, accounts }: Pick<Pipeline, 'auth' | 'accounts'> = compileAuth(new Containment(), members);
  assert.ok(auth !== null && accounts !== null);
  return { accounts, identity: await auth(authRequest(), null) };
}

function estimate(identity: Identity): UsageEstimate {
  return {
    id: 'req-1',
    surface: 'chat.completions',
    model: 'm',
    identity,
    inputBytes: 10,
    maxOutputTokens: 5,
    inputCostPerToken: null,
    outputCostPerToken: null,
  };
}

describe('accounts', () => {
  it('are kept by nobody when no provider reserves', () => {
    const plain = createMember('a', (bag) => {
      bag.authProviders.push({ name: 'a', authenticate: () => ({ id: 'a' }) });
    });
    assert.equal(compileAuth(new Containment(), [plain]).accounts, null);
  });

  it('are kept by the provider that gave the identity', async () => {
    const asked: string[] = [];
    const one = keeper('one', { authenticate: () => null, reserve: () => assert.fail('asked') });
    const two = keeper('two', {
      reserve: ({ identity }) => {
        asked.push(identity.id);
        return { ticket: 7, headers: { 'x-ratelimit-remaining-requests': '1' } };
      },
      settle: (ticket, outcome) => void asked.push(`${ticket} ${outcome.answered}`),
    });
    const { accounts, identity } = await open(one, two);
    const reserved = await accounts.reserve(estimate(identity), null);
    assert.deepEqual(reserved?.headers, { 'x-ratelimit-remaining-requests': '1' });
    reserved.settle(OUTCOME);
    assert.deepEqual(asked, ['two', '7 true']);
  });

  it('have nothing to say of an identity that nobody gave', async () => {
    const { accounts } = await open(keeper('one', { reserve: () => assert.fail('asked') }));
    assert.equal(await accounts.reserve(estimate({ id: 'one' }), null), null);
  });

  it('pass the provider’s refusal on', async () => {
    const { accounts, identity } = await open(keeper('one', { reserve: () => Promise.reject(refusal(429)) }));
    await assert.rejects(accounts.reserve(estimate(identity), null), { status: 429 });
  });

  for (const [how, fail] of FAILURES) {
    it(`let nothing through when reserve() ${how}`, async () => {
      const bad = keeper('bad', { reserve: fail as never }, { callTimeoutMs: 10 });
      const { accounts, identity } = await open(bad);
      await assert.rejects(accounts.reserve(estimate(identity), null), {
        code: 'auth_unavailable',
        status: 503,
      });
      assert.equal(bad.owner.failures.length, 1);
    });
  }

  it('let nothing through when reserve() answers what is no reservation', async () => {
    for (const answer of [undefined, true, {}]) {
      const { accounts, identity } = await open(keeper('bad', { reserve: () => answer as never }));
      await assert.rejects(accounts.reserve(estimate(identity), null), { code: 'auth_unavailable' });
    }
  });

  it('let nothing through once the provider is quarantined', async () => {
    const gate = createGate(true);
    const { accounts, identity } = await open(keeper('one', {}, { gate }));
    const closed = createGate(false);
    Object.assign(gate, { begin: closed.begin, end: closed.end });
    await assert.rejects(accounts.reserve(estimate(identity), null), { code: 'auth_unavailable' });
  });

  it('blame a settle() that fails, and nobody else notices', async () => {
    const bad = keeper('bad', {
      reserve: () => ({ ticket: 1 }),
      settle: () => {
        throw new Error('x');
      },
    });
    const { accounts, identity } = await open(bad);
    (await accounts.reserve(estimate(identity), null))?.settle(OUTCOME);
    assert.equal(bad.owner.failures.length, 1);
  });
});
