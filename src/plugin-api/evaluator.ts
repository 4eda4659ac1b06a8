import type { LlmRequest, LlmResponse } from './llm.ts';

/** An evaluator's judgement. Nothing at all stands for `pass`. */
export type Verdict =
  | { readonly action: 'pass' }
  /** Mode `block` only: the client gets 400 `content_filter` with `message`. */
  | { readonly action: 'block'; readonly message?: string };

type Judged = Verdict | undefined | void | Promise<Verdict | undefined | void>;

/**
 * Judges requests and answers. `block` evaluators run before anything leaves the gateway, and one that fails stops
 * the request (503 `evaluator_unavailable`, unless metadata says `failOpen`). `observe` evaluators cost the request
 * nothing: they run beside it, their verdicts have no effect, and their calls and failures are counted.
 *
 * @example
 * ```ts
 * app.evaluator({
 *   name: 'no-secrets', mode: 'block',
 *   input: (request) => JSON.stringify(request.body).includes('BEGIN PRIVATE KEY')
 *     ? { action: 'block', message: 'The prompt holds a private key' } : { action: 'pass' },
 * });
 * ```
 */
export interface Evaluator {
  readonly name: string;
  readonly mode: 'block' | 'observe';
  input?(request: LlmRequest): Judged;
  output?(request: LlmRequest, response: LlmResponse): Judged;
}
