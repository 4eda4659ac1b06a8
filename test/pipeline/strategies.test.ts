import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { GatewayError } from '../../src/errors.ts';
import { compileStrategies } from '../../src/pipeline/strategies.ts';
import type { StrategyPhase } from '../../src/pipeline/types.ts';
import type { RouteResult, RoutingStrategy } from '../../src/plugin-api/routing.ts';
import { RequestScope } from '../../src/request-scope.ts';
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

const CANDIDATES = Object.freeze([candidate('echo/0'), candidate('echo/1')]);
const IDLE = { inFlight: [0, 0] };

const RESULT: RouteResult = {
  requestId: 'req-7',
  deployment: candidate('echo/0'),
  ok: true,
  status: 200,
  totalMs: 1,
  firstByteMs: 1,
  firstTokenMs: null,
  usage: null,
};

function strategic(strategy: Record<string, unknown>, options?: MemberOptions): TestMember {
  return createMember(
    'a',
    (bag) => void bag.strategies.set('mine', strategy as unknown as RoutingStrategy),
    options,
  );
}

function compile(member: TestMember): StrategyPhase {
  const phase = compileStrategies(new Containment(), [member]).get('mine');
  assert.ok(phase);
  return phase;
}

describe('a routing strategy', () => {
  for (const [how, select] of [
    ['a candidate', () => CANDIDATES[1]],
    ['its id', async () => 'echo/1'],
    ['a copy of it', () => ({ ...CANDIDATES[1], weight: 1_000 })],
  ] as const) {
    it(`chooses by ${how}`, async () => {
      assert.equal(
        await compile(strategic({ select })).select(llmRequest(), CANDIDATES, IDLE, null),
        CANDIDATES[1],
      );
    });
  }

  for (const [how, fail, kind] of FAILURES) {
    it(`that ${how} leaves the choice to the default, and is counted`, async () => {
      const bad = strategic({ select: fail }, { callTimeoutMs: 10 });
      assert.equal(await compile(bad).select(llmRequest(), CANDIDATES, IDLE, null), null);
      assert.deepEqual(kinds(bad.owner), [`strategy ${kind}`]);
    });
  }

  for (const garbage of [
    undefined,
    null,
    7,
    'gpt-4',
    {},
    { id: 'gpt-4' },
    [],
    CANDIDATES,
    {
      get id() {
        throw refusal(404);
      },
    },
  ]) {
    it(`that chooses what is no candidate (${typeof garbage}) leaves the choice to the default`, async () => {
      const bad = strategic({ select: () => garbage });
      assert.equal(await compile(bad).select(llmRequest(), CANDIDATES, IDLE, null), null);
      assert.deepEqual(kinds(bad.owner), ['strategy invalid']);
    });
  }

  it('that throws a 4xx leaves the choice to the default: no client is refused by it', async () => {
    for (const status of [403, 429]) {
      const select = (): never => assert.fail(refusal(status));
      assert.equal(await compile(strategic({ select })).select(llmRequest(), CANDIDATES, IDLE, null), null);
    }
  });

  it('that says that all limits are reached is heard, and not blamed', async () => {
    const reached = new GatewayError('rate_limit_exceeded', 'Nobody left');
    for (const select of [() => Promise.reject(reached), () => assert.fail(reached)]) {
      const honest = strategic({ select });
      await assert.rejects(async () => compile(honest).select(llmRequest(), CANDIDATES, IDLE, null), reached);
      assert.deepEqual(kinds(honest.owner), []);
    }
  });

  it('of a quarantined plugin leaves the choice to the default, unless a trial is due', async () => {
    const resting = strategic({ select: () => assert.fail('asked') }, { gate: createGate(false) });
    assert.equal(await compile(resting).select(llmRequest(), CANDIDATES, IDLE, null), null);
    const gate = createGate(true);
    const tried = strategic({ select: () => 'echo/0' }, { gate });
    assert.equal(await compile(tried).select(llmRequest(), CANDIDATES, IDLE, null), CANDIDATES[0]);
    assert.deepEqual(gate.trials, [true]);
    const failed = createGate(true);
    await compile(strategic({ select: () => 'nothing' }, { gate: failed })).select(
      llmRequest(),
      CANDIDATES,
      IDLE,
      null,
    );
    assert.deepEqual(failed.trials, [false]);
  });

  it('observes results if it wants to, and its failures there hurt nobody', async () => {
    assert.equal(compile(strategic({ select: () => undefined })).observe, null);
    const bad = strategic({
      select: () => undefined,
      observe: () => {
        throw new Error('x');
      },
    });
    compile(bad).observe?.(RESULT, null);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(kinds(bad.owner), ['strategy error']);
  });

  it('sees the load, and knows while it observes which request the result is of', () => {
    const containment = new Containment();
    const seen: unknown[] = [];
    const member = strategic({
      select: (_request: unknown, _candidates: unknown, load: unknown) => void seen.push(load),
      observe: () => void seen.push(containment.current()?.request?.id),
    });
    const phase = compileStrategies(containment, [member]).get('mine');
    phase?.select(llmRequest(), CANDIDATES, IDLE, null);
    phase?.observe?.(RESULT, new RequestScope(RESULT.requestId));
    assert.deepEqual(seen, [IDLE, 'req-7']);
  });
});
