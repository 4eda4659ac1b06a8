import type { Identity } from './auth.ts';
import type { LlmEvent, LlmEventResult } from './llm-event.ts';
import type { RouteDecision } from './routing.ts';
import type { TraceContext } from './trace.ts';

type MaybePromise<T> = T | Promise<T>;

/** The kind of LLM call: which API's shapes the bodies have. `chat.completions` is `POST /v1/chat/completions`, and so on. */
export type LlmSurface =
  | 'chat.completions'
  | 'completions'
  | 'embeddings'
  | 'responses'
  | 'moderations'
  | 'images.generations'
  | 'audio.speech'
  | 'audio.transcriptions'
  | 'rerank'
  | 'messages'
  | 'messages.count_tokens';

/** A call as hooks and evaluators see it. Frozen; a hook that changes it returns a patch. */
export interface LlmRequest {
  /** The request id, as in `x-request-id`. */
  readonly id: string;
  readonly surface: LlmSurface;
  /** The model that the client asked for. */
  readonly model: string;
  /** True when the client wants an SSE stream. */
  readonly stream: boolean;
  /**
   * The client's JSON body, in the surface's own shape.
   *
   * For strategies and providers it is parsed when it is first looked at. That has to be while the call runs: its bytes
   * are freed then, and a first look afterwards throws. What has been looked at stays.
   */
  readonly body: Readonly<Record<string, unknown>>;
  /**
   * All texts of the body, joined by line feeds: every string in it but names, ids, types and files in base64. Put
   * together when it is read.
   */
  readonly text: string;
  /** `null` when no auth provider is loaded. */
  readonly identity: Identity | null;
  /** The trace that the call is part of; `null`: the client sent none, and no exporter would record one. */
  readonly trace: TraceContext | null;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** What `onRequest` may return: nothing, another body (its `model` counts), or the answer itself. */
export type LlmRequestResult =
  | undefined
  | void
  | { readonly body: Readonly<Record<string, unknown>> }
  | { readonly response: Readonly<Record<string, unknown>> };

/** An upstream's answer as hooks and evaluators see it. Frozen. */
export interface LlmResponse {
  /**
   * The answer in the surface's own shape. A streamed answer is put together from its events, and holds what has come
   * so far while {@link LlmResponse.final} is false; that of `responses` is the one that its last event carries.
   */
  readonly body: Readonly<Record<string, unknown>>;
  /**
   * All that a reader of the answer gets to see, joined by line feeds: choices with refusals, reasoning and the
   * arguments of tool calls; for `responses` and `messages` what goes into and comes out of tool calls too; for
   * `images.generations` the revised prompts, for `rerank` the documents that are returned. Empty for `embeddings`,
   * `moderations` and `messages.count_tokens`. Of a stream, what has come so far.
   */
  readonly text: string;
  /** False while a stream goes on; true for the whole answer. */
  readonly final: boolean;
  readonly usage: LlmUsage | null;
}

/** Tokens, whatever the surface calls them. `completionTokens` is 0 where nothing is completed. */
export interface LlmUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  /** Of the prompt's tokens, those that came from the upstream's cache. Left out when the upstream does not say. */
  readonly cacheReadTokens?: number;
  /** Of the prompt's tokens, those that were written into the upstream's cache. Left out when it does not say. */
  readonly cacheWriteTokens?: number;
}

/** One event of a streamed answer, or a whole one, in the surface's own shape. */
export type LlmChunk = Readonly<Record<string, unknown>>;

/**
 * Hooks around every LLM call. A hook that throws an error with a `status` from 400 to 499 refuses the call with it;
 * any other failure is counted and the hook skipped (metadata `failClosed: true`: 503).
 *
 * @example
 * ```ts
 * const tokens = context.metrics.counter('tokens', { labelNames: ['model'] });
 * app.llm({
 *   onRequest: ({ body }) => ({ body: { ...body, user: 'gateway' } }),
 *   onChunk: (_request, event) =>
 *     event.type === 'text' ? { ...event, text: event.text.replaceAll('colour', 'color') } : event,
 *   onResponse: ({ model }, { usage }) => tokens.inc({ model }, usage?.totalTokens ?? 0),
 * });
 * ```
 */
export interface LlmHooks {
  /** Before routing. May change the body or answer by itself. */
  onRequest?(request: LlmRequest): MaybePromise<LlmRequestResult>;
  /** After the choice of a deployment. Observes. */
  onRoute?(request: LlmRequest, route: RouteDecision): MaybePromise<void>;
  /**
   * Each event of an answer, in the same form for every surface, streamed or not. May change, hold back or drop it: see
   * {@link LlmEventResult}.
   */
  onChunk?(request: LlmRequest, event: LlmEvent): MaybePromise<LlmEventResult>;
  /** The whole answer. May return another body when the answer is not streamed. */
  onResponse?(
    request: LlmRequest,
    response: LlmResponse,
  ): MaybePromise<{ readonly body: Readonly<Record<string, unknown>> } | undefined | void>;
  /** The call failed; `error` is what the client gets. Observes. */
  onError?(request: LlmRequest, error: Error): MaybePromise<void>;
}
