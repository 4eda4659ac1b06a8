import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServedCall } from '../../src/isolation/channel/serving.ts';
import { EvaluatorCaller } from '../../src/isolation/host/evaluator-caller.ts';
import { LlmCaller } from '../../src/isolation/host/llm-caller.ts';
import type { LlmRequest } from '../../src/plugin-api/llm.ts';
import { channelPair } from './channel-pair.ts';

const PASS = { action: 'pass' };
const BLOCK = { action: 'block' };

/** Answers a crossing of the evaluators at `indexes`; `tell` sends what is known so far. */
type Process = (indexes: readonly number[], tell: (verdicts: unknown) => void) => unknown;

/** Three evaluators of one plugin, whose process says whatever the test wants. */
function threeEvaluators(process: Process): {
  readonly judge: (index: number) => unknown;
  /** What each crossing asked for. */
  readonly crossings: (readonly number[])[];
} {
  const crossings: (readonly number[])[] = [];
  const serve = (_method: string, params: unknown, { emit }: ServedCall): unknown => {
    const { indexes } = params as { indexes: readonly number[] };
    crossings.push(indexes);
    return process(indexes, (verdicts) => emit('verdicts', verdicts));
  };
  const { near } = channelPair({ far: { serve } });
  const caller = new EvaluatorCaller(new LlmCaller(() => near), [0, 1, 2]);
  const request = { id: 'r', signal: new AbortController().signal } as LlmRequest;
  return { judge: (index) => caller.judge(index, request, null), crossings };
}

describe('evaluators of a plugin in a process of its own', () => {
  test('are asked in one crossing, and know at once what came with the first answer', async () => {
    const { judge, crossings } = threeEvaluators(() => [
      { verdict: PASS },
      { verdict: BLOCK },
      { error: { message: 'cannot judge' } },
    ]);
    assert.deepEqual(await judge(0), PASS);
    assert.deepEqual(judge(1), BLOCK);
    assert.throws(() => judge(2), /cannot judge/);
    assert.deepEqual(crossings, [[0, 1, 2]]);
  });

  test('are asked anew by whoever begins again', async () => {
    const { judge, crossings } = threeEvaluators((indexes) => indexes.map(() => ({ verdict: PASS })));
    assert.deepEqual(await judge(0), PASS);
    assert.deepEqual(await judge(0), PASS);
    assert.equal(crossings.length, 2);
  });

  test('wait for a verdict that is still to come', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { judge, crossings } = threeEvaluators(async (_indexes, tell) => {
      tell([{ verdict: PASS }]);
      await promise;
      return [{ verdict: PASS }, { verdict: BLOCK }, { verdict: PASS }];
    });
    assert.deepEqual(await judge(0), PASS);
    const second = judge(1);
    resolve();
    assert.deepEqual(await second, BLOCK);
    assert.deepEqual(judge(2), PASS);
    assert.equal(crossings.length, 1);
  });

  test('do not wait for one that was given up', async () => {
    const { judge, crossings } = threeEvaluators((indexes) =>
      indexes[0] === 0 ? new Promise(() => undefined) : indexes.map(() => ({ verdict: PASS })),
    );
    judge(0);
    assert.deepEqual(await judge(1), PASS);
    assert.deepEqual(crossings, [
      [0, 1, 2],
      [1, 2],
    ]);
  });

  test('fail with the crossing, the others when their turn comes', async () => {
    const { judge, crossings } = threeEvaluators(async (_indexes, tell) => {
      tell([{ verdict: PASS }]);
      throw new Error('the process has ended');
    });
    assert.deepEqual(await judge(0), PASS);
    await assert.rejects(async () => judge(1), /the process has ended/);
    assert.equal(crossings.length, 1);
    assert.deepEqual(await judge(2), PASS);
    assert.deepEqual(crossings[1], [2]);
  });

  for (const [what, said] of [
    ['nothing', undefined],
    ['no list', { verdict: PASS }],
    ['an empty list', []],
    ['a list of rubbish', [7, null, 'pass']],
  ] as const) {
    test(`that say ${what} have not passed`, async () => {
      const { judge } = threeEvaluators(() => said);
      for (const index of [0, 1, 2])
        await assert.rejects(async () => judge(index), /expected one of each evaluator/);
    });
  }

  test('behind a verdict that is rubbish have not passed', async () => {
    const { judge, crossings } = threeEvaluators((indexes) =>
      indexes[0] === 0 ? [{ verdict: PASS }, null, { verdict: PASS }] : [],
    );
    assert.deepEqual(await judge(0), PASS);
    await assert.rejects(async () => judge(1), /expected one of each evaluator/);
    await assert.rejects(async () => judge(2), /expected one of each evaluator/);
    assert.equal(crossings.length, 3);
  });
});
