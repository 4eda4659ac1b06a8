import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeInTurn } from '../../src/isolation/child/evaluators.ts';
import type { Evaluator } from '../../src/plugin-api/evaluator.ts';
import type { LlmRequest } from '../../src/plugin-api/llm.ts';

const REQUEST = { text: 'hello' } as LlmRequest;
const PASS = { action: 'pass' } as const;

function evaluator(input: Evaluator['input'] & {}): Evaluator {
  return { name: 'e', mode: 'block', input };
}

test('what is known is told while an evaluator takes its time, each time one does', async () => {
  const told: unknown[] = [];
  const { promise: isTold, resolve: tell } = Promise.withResolvers<void>();
  const slow = evaluator(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return PASS;
  });
  const last = evaluator(async () => {
    await isTold;
    return PASS;
  });
  const judged = await judgeInTurn(
    [evaluator(() => PASS), slow, slow, last],
    REQUEST,
    null,
    (_event, known) => {
      told.push(structuredClone(known));
      if (told.length === 3) tell();
    },
  );
  const passed = {};
  assert.deepEqual(told, [[passed], [passed, passed], [passed, passed, passed]]);
  assert.equal(judged.length, 4);
});

test('nothing is told of evaluators that answer at once but the whole', async () => {
  const told: unknown[] = [];
  const atOnce = Array.from({ length: 4 }, () => evaluator(() => PASS));
  const judged = await judgeInTurn(atOnce, REQUEST, null, (_event, known) => told.push(known));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(judged.length, 4);
  assert.deepEqual(told, []);
});
