import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileProviders } from '../../src/pipeline/providers.ts';
import type { Provider } from '../../src/plugin-api/provider.ts';
import { kinds } from '../containment/support.ts';
import {
  candidate,
  createGate,
  createMember,
  FAILURES,
  llmRequest,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

function providing(chat: () => unknown, options?: MemberOptions): TestMember {
  return createMember('a', (bag) => void bag.providers.set('upper', { chat } as Provider), options);
}

async function chat(member: TestMember): Promise<unknown> {
  const provider = compileProviders(new Containment(), [member]).get('upper');
  assert.ok(provider);
  return provider.chat(llmRequest(), candidate('upper/0'));
}

async function* chunks(): AsyncGenerator<string> {
  yield 'data: [DONE]\n\n';
}

describe('a provider', () => {
  it('answers with text, bytes or a stream', async () => {
    for (const body of ['{}', new Uint8Array([123, 125]), chunks()]) {
      const answer = { status: 200, headers: {}, body };
      assert.equal(await chat(providing(async () => answer)), answer);
    }
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`that ${how} is an upstream that fails`, async () => {
      const bad = providing(fail, { callTimeoutMs: 10 });
      await assert.rejects(chat(bad), {
        code: kind === 'timeout' ? 'upstream_timeout' : 'upstream_error',
        message: 'The provider "upper" failed',
      });
      assert.deepEqual(kinds(bad.owner), [`provider ${kind}`]);
    });
  }

  for (const garbage of [
    undefined,
    null,
    'x',
    {},
    { status: '200', headers: {}, body: '' },
    { status: 199, headers: {}, body: '' },
    { status: 600, headers: {}, body: '' },
    { status: 200, headers: null, body: '' },
    { status: 200, headers: {}, body: {} },
    { status: 200, headers: {}, body: null },
  ]) {
    it(`that answers ${JSON.stringify(garbage)} is an upstream that fails`, async () => {
      const bad = providing(() => garbage);
      await assert.rejects(chat(bad), { code: 'upstream_error' });
      assert.deepEqual(kinds(bad.owner), ['provider invalid']);
    });
  }

  it('may refuse with a 4xx', async () => {
    const thrown = refusal(429);
    await assert.rejects(chat(providing(() => Promise.reject(thrown))), (error) => error === thrown);
  });

  it('of a quarantined plugin is an upstream that fails, unless a trial is due', async () => {
    await assert.rejects(chat(providing(() => assert.fail('asked'), { gate: createGate(false) })), {
      code: 'upstream_error',
    });
    for (const [answer, succeeded] of [
      [{ status: 200, headers: {}, body: '' }, true],
      ['garbage', false],
    ] as const) {
      const gate = createGate(true);
      await chat(providing(() => answer, { gate })).catch(() => undefined);
      assert.deepEqual(gate.trials, [succeeded]);
    }
  });
});
