import type { LlmRequest, LlmResponse } from './llm.ts';

/** An evaluator's judgement. Nothing at all stands for `pass`. */
export type Verdict =
  | { readonly action: 'pass' }
  /** Mode `block` only: the client gets 400 `content_filter` with `message`. */
  | { readonly action: 'block'; readonly message?: string }
  /** Mode `block` only: the text goes on without these parts. */
  | { readonly action: 'mask'; readonly spans: readonly MaskSpan[] };

/** A part of `request.text` or `response.text` that is to be replaced. Offsets count UTF-16 code units, as strings do. */
export interface MaskSpan {
  /** The first character. */
  readonly start: number;
  /** Behind the last character. */
  readonly end: number;
  /** What stands there instead. Default: `[masked]`. */
  readonly replacement?: string;
}

type Judged = Verdict | undefined | void | Promise<Verdict | undefined | void>;

/**
 * Judges requests and answers. `block` evaluators run before anything leaves the gateway, and one that fails stops
 * the request (503 `evaluator_unavailable`, unless metadata says `failOpen`). `observe` evaluators cost the request
 * nothing: they run beside it, their verdicts have no effect, and their calls and failures are counted.
 *
 * All evaluators judge the same text, before any mask: masks add up, and one that blocks wins. A stream is judged
 * while it comes: `output` is called with the text so far (`response.final` is false) as it grows, and once with the
 * whole. What has been judged leaves when it is further than {@link Evaluator.window} characters behind the end.
 *
 * @example
 * ```ts
 * app.evaluator({
 *   name: 'no-secrets', mode: 'block',
 *   input: (request) => JSON.stringify(request.body).includes('BEGIN PRIVATE KEY')
 *     ? { action: 'block', message: 'The prompt holds a private key' } : { action: 'pass' },
 *   output: (_request, { text }) => {
 *     const spans = [...text.matchAll(/password: \S+/g)].map(({ 0: found, index }) => (
 *       { start: index, end: index + found.length, replacement: 'password: ***' }));
 *     return { action: 'mask', spans };
 *   },
 * });
 * ```
 */
export interface Evaluator {
  readonly name: string;
  readonly mode: 'block' | 'observe';
  /**
   * How many characters of a stream are held back, in mode `block`: a phrase of up to that length never leaves in part.
   * `'all'` (or `Infinity`) holds back the whole answer, and `output` is called once. Default: 256.
   */
  readonly window?: number | 'all';
  input?(request: LlmRequest): Judged;
  output?(request: LlmRequest, response: LlmResponse): Judged;
}
