import { type CallSite, type Containment, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import type { Evaluator, MaskSpan, Verdict } from '../plugin-api/evaluator.ts';
import type { LlmRequest, LlmResponse } from '../plugin-api/llm.ts';
import type { RequestScope } from '../request-scope.ts';
import { invoke, type Member } from './member.ts';
import type { LlmPhases } from './types.ts';

type EvaluatorPhases = Pick<LlmPhases, 'evaluateInput' | 'evaluateOutput' | 'outputWindow' | 'observeOutput'>;
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
  scope: RequestScope | null,
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
  const blockOutput = having('output', 'block');
  return {
    evaluateInput: both(observeInput, blockInput),
    evaluateOutput: blockers(judge, 'output', blockOutput),
    outputWindow: Math.max(0, ...blockOutput.map(({ evaluator }) => windowOf(evaluator))),
    observeOutput: observers(judge, 'output', having('output', 'observe')),
  };
}

function createJudge(containment: Containment): Judge {
  return ({ member, evaluator }, side, request, response, scope) => {
    // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
    const check = (value: unknown): Verdict => checkVerdict(value, response ?? request);
    const site: CallSite<Verdict> = {
      owner: member.owner,
      phase: 'evaluator',
      what: `evaluator "${evaluator.name}"`,
      check,
      about: request,
    };
    return invoke(containment, member.gate, site, scope, () =>
      side === 'output' && response !== null
        ? evaluator.output?.(request, response)
        : evaluator.input?.(request),
    );
  };
}

type Block = (
  request: LlmRequest,
  response: LlmResponse | null,
  scope: RequestScope | null,
) => Promise<readonly MaskSpan[]>;
type Observe = (request: LlmRequest, response: LlmResponse | null, scope: RequestScope | null) => void;

/**
 * `block` evaluators one after the other: the first that refuses or fails ends it. All judge the same text, so that
 * the masks of several add up.
 */
function blockers(judge: Judge, side: Side, entries: readonly Entry[]): Block | null {
  if (entries.length === 0) return null;
  return async (request, response, scope) => {
    freeze(request, response);
    let masks: readonly MaskSpan[] = NO_MASKS;
    for (const entry of entries) {
      const verdict = await judge(entry, side, request, response, scope).catch((thrown) =>
        onFailure(entry, thrown),
      );
      if (verdict.action === 'block') throw blocked(entry, verdict);
      if (verdict.action === 'mask') masks = [...masks, ...verdict.spans];
    }
    return masks;
  };
}

/** `observe` evaluators run beside the request; their failures are counted where they are found. */
function observers(judge: Judge, side: Side, entries: readonly Entry[]): Observe | null {
  if (entries.length === 0) return null;
  return (request, response, scope) => {
    // In a turn of its own: what an evaluator does before it first waits must not hold up the request.
    setImmediate(() => {
      freeze(request, response);
      for (const entry of entries) judge(entry, side, request, response, scope).catch(() => undefined);
    });
  };
}

function both(observe: Observe | null, block: Block | null): LlmPhases['evaluateInput'] {
  if (observe === null && block === null) return null;
  return async (request, scope) => {
    observe?.(request, null, scope);
    return block?.(request, null, scope);
  };
}

/** Characters of a stream that are held back when an evaluator does not say. */
const DEFAULT_WINDOW = 256;
const NO_MASKS: readonly MaskSpan[] = Object.freeze([]);

function windowOf({ window = DEFAULT_WINDOW }: Evaluator): number {
  return window === 'all' ? Number.POSITIVE_INFINITY : window;
}

function freeze(request: LlmRequest, response: LlmResponse | null): void {
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

/**
 * What an evaluator has returned, checked. Nothing is a pass.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkVerdict(value: unknown, judged: { readonly text: string }): Verdict {
  if (value === undefined || value === null) return { action: 'pass' };
  const { action, message, spans } = (typeof value === 'object' ? value : {}) as Record<string, unknown>;
  if (action === 'pass') return { action };
  if (action === 'block' && message === undefined) return { action };
  if (action === 'block' && typeof message === 'string') return { action, message };
  if (action === 'mask' && Array.isArray(spans)) return { action, spans: checkSpans(spans, judged) };
  throw new Error(
    `saw ${JSON.stringify(action) ?? typeof value}, expected { action: 'pass' }, { action: 'block', message? }, { action: 'mask', spans } or nothing`,
  );
}

function checkSpans(spans: readonly unknown[], judged: { readonly text: string }): MaskSpan[] {
  if (spans.length === 0) return [];
  const { length } = judged.text;
  return spans.map((span) => checkSpan(span, length));
}

function checkSpan(value: unknown, length: number): MaskSpan {
  const { start, end, replacement } = (typeof value === 'object' && value !== null ? value : {}) as Partial<
    Record<string, unknown>
  >;
  const fits = isOffset(start, length) && isOffset(end, length) && start < end;
  if (fits && replacement === undefined) return { start, end };
  if (fits && typeof replacement === 'string') return { start, end, replacement };
  throw new Error(
    `saw the span { start: ${String(start)}, end: ${String(end)}, replacement: ${typeof replacement} }, expected 0 <= start < end <= ${length} and a text or nothing`,
  );
}

function isOffset(value: unknown, length: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= length;
}
