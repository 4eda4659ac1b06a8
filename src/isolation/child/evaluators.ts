import { checkVerdict } from '../../pipeline/evaluators.ts';
import type { Evaluator, Verdict } from '../../plugin-api/evaluator.ts';
import type { LlmRequest, LlmResponse } from '../../plugin-api/llm.ts';
import { type PackedError, packError } from '../channel/errors.ts';
import type { ServedCall } from '../channel/serving.ts';
import { checked } from './answers.ts';

/** What became of one evaluator; without a verdict it passes. */
export type Judged = { readonly verdict?: Verdict } | { readonly error: PackedError };

const PASSED: Judged = Object.freeze({});

/**
 * Asks evaluators one after the other, as the pipeline does, up to the first that refuses, fails or answers what is no
 * verdict. What is known already does not wait for one that takes its time: it may be cut off by its deadline.
 */
export async function judgeInTurn(
  evaluators: readonly Evaluator[],
  request: LlmRequest,
  response: LlmResponse | null,
  emit: ServedCall['emit'],
): Promise<Judged[]> {
  const judged: Judged[] = [];
  let late: NodeJS.Immediate | null = null;
  const tell = (): void => {
    late = null;
    emit('verdicts', judged);
  };
  for (const evaluator of evaluators) {
    if (judged.length > 0) late ??= setImmediate(tell);
    const { entry, goesOn } = await judge(evaluator, request, response);
    judged.push(entry);
    if (!goesOn) break;
  }
  if (late !== null) clearImmediate(late);
  return judged;
}

async function judge(
  evaluator: Evaluator,
  request: LlmRequest,
  response: LlmResponse | null,
): Promise<{ readonly entry: Judged; readonly goesOn: boolean }> {
  try {
    const returned = await (response === null
      ? evaluator.input?.(request)
      : evaluator.output?.(request, response));
    const verdict = checked((value) => checkVerdict(value, response ?? request), returned);
    if (verdict.action === 'pass') return { entry: PASSED, goesOn: true };
    return { entry: { verdict }, goesOn: verdict.action !== 'block' };
  } catch (thrown) {
    return { entry: { error: packError(thrown) }, goesOn: false };
  }
}
