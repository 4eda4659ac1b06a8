import { type CallSite, type Containment, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import type { Evaluator, Verdict } from '../plugin-api/evaluator.ts';
import type { LlmRequest, LlmResponse } from '../plugin-api/llm.ts';
import { invoke, type Member } from './member.ts';
import type { LlmPhases } from './types.ts';

type EvaluatorPhases = Pick<LlmPhases, 'evaluateInput' | 'evaluateOutput' | 'observeOutput'>;
type Side = 'input' | 'output';

interface Entry {
  readonly member: Member;
  readonly evaluator: Evaluator;
}

/** Judges with one evaluator; resolves to its verdict. */
type Judge = (
  entry: Entry,
  side: Side,
  request: LlmRequest,
  response: LlmResponse | null,
) => Promise<Verdict>;

/** Compiles the evaluators of all plugins; a side that nobody judges is `null`. */
export function compileEvaluators(containment: Containment, members: readonly Member[]): EvaluatorPhases {
  const entries = members.flatMap((member) =>
    (member.bag?.evaluators ?? []).map((evaluator) => ({ member, evaluator })),
  );
  const having = (side: Side, mode: Evaluator['mode']): Entry[] =>
    entries.filter(({ evaluator }) => evaluator.mode === mode && evaluator[side] !== undefined);
  const judge = createJudge(containment);
  const observeInput = observers(judge, 'input', having('input', 'observe'));
  const blockInput = blockers(judge, 'input', having('input', 'block'));
  return {
    evaluateInput: both(observeInput, blockInput),
    evaluateOutput: blockers(judge, 'output', having('output', 'block')),
    observeOutput: observers(judge, 'output', having('output', 'observe')),
  };
}

function createJudge(containment: Containment): Judge {
  return ({ member, evaluator }, side, request, response) => {
    const site: CallSite<Verdict> = {
      owner: member.owner,
      phase: 'evaluator',
      what: `evaluator "${evaluator.name}"`,
      check: checkVerdict,
    };
    return invoke(containment, member.gate, site, request.id, () =>
      side === 'output' && response !== null
        ? evaluator.output?.(request, response)
        : evaluator.input?.(request),
    );
  };
}

type Block = (request: LlmRequest, response?: LlmResponse) => Promise<void>;
type Observe = (request: LlmRequest, response?: LlmResponse) => void;

/** `block` evaluators one after the other: the first that refuses or fails ends it. */
function blockers(judge: Judge, side: Side, entries: readonly Entry[]): Block | null {
  if (entries.length === 0) return null;
  return async (request, response) => {
    freeze(request, response);
    for (const entry of entries) {
      const verdict = await judge(entry, side, request, response ?? null).catch((thrown) =>
        onFailure(entry, thrown),
      );
      if (verdict.action === 'block') throw blocked(entry, verdict);
    }
  };
}

/** `observe` evaluators run beside the request; their failures are counted where they are found. */
function observers(judge: Judge, side: Side, entries: readonly Entry[]): Observe | null {
  if (entries.length === 0) return null;
  return (request, response) => {
    freeze(request, response);
    for (const entry of entries) judge(entry, side, request, response ?? null).catch(() => undefined);
  };
}

function both(observe: Observe | null, block: Block | null): LlmPhases['evaluateInput'] {
  if (observe === null) return block;
  return async (request) => {
    observe(request);
    await block?.(request);
  };
}

function freeze(request: LlmRequest, response: LlmResponse | undefined): void {
  deepFreeze(request.body);
  deepFreeze(response);
}

/** A guard that cannot judge stops the request, unless its metadata says `failOpen`. */
function onFailure({ member, evaluator }: Entry, thrown: unknown): Verdict {
  if (isAnswer(thrown)) throw thrown;
  if (member.failOpen) return { action: 'pass' };
  throw new GatewayError('evaluator_unavailable', `The evaluator "${evaluator.name}" is unavailable`, {
    plugin: member.name,
    cause: thrown,
  });
}

function blocked({ member, evaluator }: Entry, verdict: Verdict & { action: 'block' }): GatewayError {
  const message = verdict.message ?? `Refused by the evaluator "${evaluator.name}"`;
  return new GatewayError('content_filter', message, { plugin: member.name });
}

function checkVerdict(value: unknown): Verdict {
  if (value === undefined || value === null) return { action: 'pass' };
  const { action, message } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  if (action === 'pass') return { action };
  if (action === 'block' && message === undefined) return { action };
  if (action === 'block' && typeof message === 'string') return { action, message };
  throw new Error(
    `saw ${JSON.stringify(action) ?? typeof value}, expected { action: 'pass' | 'block', message? } or nothing`,
  );
}
