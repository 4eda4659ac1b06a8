import type { IncomingHttpHeaders } from 'node:http';
import type { LlmPhases, Pipeline, Reserved } from '../pipeline/types.ts';
import type { Identity } from '../plugin-api/auth.ts';
import type { LlmRequest, LlmUsage } from '../plugin-api/llm.ts';
import type { Candidate } from '../plugin-api/routing.ts';
import type { TraceContext } from '../plugin-api/trace.ts';
import { type RequestScope, scopeOf } from '../request-scope.ts';
import type { CountedCall } from '../telemetry/call-stats.ts';
import type { GatewayRequest } from '../wire/message.ts';
import type { Timeline } from '../wire/timeline.ts';
import { type TraceIds, takeTrace } from '../wire/trace-context.ts';
import type { AnswerListener, ClientAnswer } from './client-answer.ts';
import { LazyLlmRequest, toLlmRequest } from './llm-request.ts';
import type { RequestBody } from './request-body.ts';
import { phasesOn } from './surface/phases.ts';
import type { Surface } from './surface/surface.ts';
import type { Attempt } from './upstream/attempt.ts';
import type { UpstreamCall } from './upstream/upstream.ts';

/** All that belongs to one LLM call while it is served. */
export class Call implements UpstreamCall, AnswerListener, CountedCall {
  readonly id: string;
  readonly surface: Surface;
  readonly identity: Identity | null;
  readonly clientHeaders: IncomingHttpHeaders;
  readonly trace: TraceContext | null;
  readonly pipeline: Pipeline;
  /** The hooks and evaluators that run on this surface. */
  readonly llm: LlmPhases;
  readonly answer: ClientAnswer;
  readonly timeline: Timeline | null;
  readonly scope: RequestScope | null;
  /** Epoch milliseconds. */
  readonly startedAt: number = Date.now();
  /** What the client wants, whatever a hook makes of the body. */
  readonly stream: boolean;
  /** The deployment that was tried last. */
  candidate: Candidate | null = null;
  /** An upstream has answered, or begun to. */
  answered = false;
  /** What is set aside for the call with the provider of its identity. */
  reserved: Reserved | null = null;
  usage: LlmUsage | null = null;
  /** A routing strategy learns from how the call goes. */
  observed = false;
  #body: RequestBody;
  #request: LlmRequest | null = null;
  #attempt: Attempt | null = null;
  #aborter: AbortController | null = null;
  #wake: (() => void) | null = null;

  constructor(
    surface: Surface,
    req: GatewayRequest,
    answer: ClientAnswer,
    pipeline: Pipeline,
    body: RequestBody,
    ids: TraceIds,
  ) {
    this.id = req.id;
    this.surface = surface;
    this.identity = req.identity;
    this.clientHeaders = req.headers;
    this.trace = takeTrace(req.headers, pipeline.export !== null, ids);
    this.pipeline = pipeline;
    this.llm = phasesOn(surface, pipeline.llm);
    this.answer = answer;
    this.timeline = req.timeline;
    this.scope = scopeOf(req);
    this.stream = body.stream;
    this.#body = body;
    answer.listener = this;
  }

  get body(): RequestBody {
    return this.#body;
  }

  /** A hook has changed the body. */
  set body(body: RequestBody) {
    this.#body = body;
    this.#request = null;
    this.prepare();
  }

  get attempts(): number {
    return this.answer.attempts;
  }

  get totalMs(): number {
    return this.answer.elapsedMs();
  }

  get firstByteMs(): number | null {
    return this.answer.firstByteMs;
  }

  /** The call as plugins see it: ready-made when hooks will read it, else only as far as somebody asks. */
  get request(): LlmRequest {
    this.#request ??= new LazyLlmRequest(this, this.#body);
    return this.#request;
  }

  /** The call as plugins have seen it so far, `null` when none has. */
  get seenRequest(): LlmRequest | null {
    return this.#request;
  }

  /**
   * Makes the request when hooks will read it.
   *
   * @throws GatewayError `invalid_json`, for bodies that two parsers may read differently
   */
  prepare(): void {
    if (this.#isHooked()) this.#request ??= toLlmRequest(this, this.#body);
  }

  /** Aborted when the client is gone. */
  abort(): AbortSignal {
    this.#aborter ??= new AbortController();
    if (this.answer.gone) this.#aborter.abort();
    return this.#aborter.signal;
  }

  /** The attempt that ends when the client goes. */
  set attempt(attempt: Attempt) {
    this.#attempt = attempt;
    if (this.answer.gone) attempt.abort();
  }

  onDrain(): void {
    this.resumeUpstream();
  }

  /** Lets the upstream go on after a pause. */
  resumeUpstream(): void {
    this.#attempt?.resume();
  }

  /** Stops the upstream, if one is still answering. */
  stopUpstream(): void {
    this.#attempt?.abort();
  }

  /** Resolves after `ms` milliseconds, or at once when the client goes. */
  async sleep(ms: number): Promise<void> {
    if (this.answer.gone) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }

  onGone(): void {
    this.#attempt?.abort();
    this.#aborter?.abort();
    this.#wake?.();
  }

  #isHooked(): boolean {
    const { llm } = this;
    return (
      llm.onRequest !== null ||
      llm.evaluateInput !== null ||
      llm.onRoute !== null ||
      llm.onChunk !== null ||
      llm.evaluateOutput !== null ||
      llm.observeOutput !== null ||
      llm.onResponse !== null ||
      llm.onError !== null
    );
  }
}
