import type { Logger } from 'winston';
import type { EndOfTurn } from '../end-of-turn.ts';
import { type GatewayError, toError } from '../errors.ts';
import type { LlmPhases, Pipeline } from '../pipeline/types.ts';
import { scopeOf } from '../request-scope.ts';
import type { CallStats } from '../telemetry/call-stats.ts';
import { ClientGoneError } from '../wire/body.ts';
import { toClientError } from '../wire/error-response.ts';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import { TraceIds } from '../wire/trace-context.ts';
import { Call } from './call.ts';
import { toCallRecord } from './call-record.ts';
import { ClientAnswer } from './client-answer.ts';
import { deliverHookAnswer, deliverUnread, deliverWhole, isUnread } from './deliver.ts';
import type { JsonObject } from './json-value.ts';
import { MadeBody } from './made-body.ts';
import { assertMayUse } from './models.ts';
import { parseRequestBody, readRequestBytes } from './request-body.ts';
import { reserve, settle } from './reservation.ts';
import type { Routed } from './routed-attempt.ts';
import type { Router } from './routing/router.ts';
import { ScanMemory } from './scan-memory.ts';
import { assertGuarded } from './surface/phases.ts';
import type { Surface } from './surface/surface.ts';
import { maskRequest } from './text/request-text.ts';
import { RoundAnswer } from './tool-loop/round-answer.ts';
import { assertToolsHeader, runTools, TOOLS_HEADER, type ToolLoopLimits } from './tool-loop/tool-loop.ts';
import { Trial } from './trial.ts';
import { UpstreamFailure } from './upstream/failure.ts';

export interface LlmHandlerOptions {
  readonly router: Router;
  readonly numRetries: number;
  /** Milliseconds. */
  readonly keepAliveMs: number;
  /** Bytes. */
  readonly bodyLimit: number;
  readonly toolLimits: ToolLoopLimits;
  readonly log: Logger;
  readonly stats: CallStats;
  /** When answers are written. */
  readonly endOfTurn: EndOfTurn;
}

/** Serves the calls of every {@link Surface}. */
export class LlmHandler {
  readonly #router: Router;
  readonly #trial: Trial;
  readonly #bodyLimit: number;
  readonly #toolLimits: ToolLoopLimits;
  readonly #keepAliveMs: number;
  readonly #log: Logger;
  readonly #stats: CallStats;
  readonly #endOfTurn: EndOfTurn;
  readonly #traceIds = new TraceIds();
  readonly #scanMemory = new ScanMemory();

  constructor(options: LlmHandlerOptions) {
    this.#router = options.router;
    this.#trial = new Trial(options);
    this.#bodyLimit = options.bodyLimit;
    this.#toolLimits = options.toolLimits;
    this.#keepAliveMs = options.keepAliveMs;
    this.#log = options.log;
    this.#stats = options.stats;
    this.#endOfTurn = options.endOfTurn;
  }

  /** Serves one call. Never rejects: every failure has become an answer. */
  async handle(
    surface: Surface,
    req: GatewayRequest,
    res: GatewayResponse,
    pipeline: Pipeline,
  ): Promise<void> {
    if (req.headers[TOOLS_HEADER] !== undefined) return this.#handleWithTools(surface, req, res, pipeline);
    const answer = new ClientAnswer(req, res, this.#endOfTurn);
    let call: Call | null = null;
    let failure: GatewayError | null = null;
    try {
      answer.beginWait();
      const pieces = await readRequestBytes(req, surface, this.#bodyLimit);
      answer.endWait();
      const body = parseRequestBody(pieces, req, surface, this.#scanMemory);
      call = new Call(surface, req, answer, pipeline, body, this.#traceIds);
      await this.#serve(call);
    } catch (thrown) {
      failure = this.#fail(surface, req, answer, call, thrown);
    }
    if (call === null) return;
    this.#account(call, failure);
    // Whoever is still at a call that has failed may look at its body.
    if (failure === null && !answer.gone) call.body.release();
  }

  /** The client has the gateway run tools: each round is a call of its own. */
  async #handleWithTools(
    surface: Surface,
    req: GatewayRequest,
    res: GatewayResponse,
    pipeline: Pipeline,
  ): Promise<void> {
    const answer = new RoundAnswer(req, res, this.#endOfTurn);
    try {
      assertToolsHeader(req.headers[TOOLS_HEADER], surface);
      answer.beginWait();
      const pieces = await readRequestBytes(req, surface, this.#bodyLimit);
      answer.endWait();
      const body = parseRequestBody(pieces, req, surface, this.#scanMemory);
      // The rounds are different requests: an upstream would answer the second one as it has answered the first.
      delete req.headers['idempotency-key'];
      await runTools({
        id: req.id,
        scope: scopeOf(req),
        surface,
        identity: req.identity,
        tools: pipeline.tools,
        answer,
        limits: this.#toolLimits,
        keepAliveMs: this.#keepAliveMs,
        request: body.guarded(),
        serve: (round) => this.#serveRound(surface, req, answer, pipeline, round),
      });
    } catch (thrown) {
      answer.passOn();
      this.#fail(surface, req, answer, null, thrown);
    }
  }

  async #serveRound(
    surface: Surface,
    req: GatewayRequest,
    answer: RoundAnswer,
    pipeline: Pipeline,
    request: JsonObject,
  ): Promise<void> {
    const call = new Call(surface, req, answer, pipeline, new MadeBody(request, surface), this.#traceIds);
    let failure: GatewayError | null = null;
    try {
      await this.#serve(call);
    } catch (thrown) {
      failure = this.#fail(surface, req, answer, call, thrown);
    }
    this.#account(call, failure);
  }

  /** What is left to be done for a call that is over. */
  #account(call: Call, failure: GatewayError | null): void {
    const { reserved, pipeline } = call;
    if (reserved !== null) settle(call, reserved, failure);
    this.#stats.count(call, failure?.code ?? null);
    if (pipeline.export !== null) pipeline.export(toCallRecord(call, failure));
  }

  /** The phases of a call, in their order. */
  async #serve(call: Call): Promise<void> {
    const { llm, timeline } = call;
    call.prepare();
    timeline?.mark('body');
    assertGuarded(call.surface, call.pipeline.llm);
    const response = llm.onRequest === null ? null : await applyRequestHooks(call, llm.onRequest);
    assertMayUse(call.identity, call.body.model);
    if (response !== null) {
      await deliverHookAnswer(call, response);
      return;
    }
    if (llm.evaluateInput !== null) await judgeInput(call, llm.evaluateInput);
    if (call.pipeline.accounts !== null) await reserve(call, call.pipeline.accounts, this.#router);
    timeline?.mark('hooks');
    const routed = await this.#trial.run(call);
    timeline?.mark('route');
    call.answered = routed !== null;
    // The common answer: nothing is awaited for it.
    if (routed?.kind === 'json' && isUnread(call)) deliverUnread(call, routed);
    else if (routed !== null) await deliver(call, routed);
  }

  #fail(
    surface: Surface,
    req: GatewayRequest,
    answer: ClientAnswer,
    call: Call | null,
    thrown: unknown,
  ): GatewayError | null {
    call?.stopUpstream();
    if (answer.gone || thrown instanceof ClientGoneError) return null;
    const failed = thrown instanceof UpstreamFailure ? thrown : null;
    const error = failed?.error ?? toClientError(thrown);
    if (error.code === 'internal_error') {
      this.#log.error('llm call failed', {
        requestId: req.id,
        surface: surface.name,
        cause: toError(error.cause ?? thrown).message,
      });
    }
    answer.error(error, failed ?? {});
    const request = call?.seenRequest;
    if (request != null) call?.llm.onError?.(request, error, call.scope);
    return error;
  }
}

/** Resolves to the answer that a hook gave, `null` when the call goes on. */
async function applyRequestHooks(
  call: Call,
  onRequest: NonNullable<LlmPhases['onRequest']>,
): Promise<Readonly<Record<string, unknown>> | null> {
  const before = call.request;
  const { request, response } = await onRequest(before, call.scope);
  if (request.body !== before.body) call.body = new MadeBody(request.body, call.surface);
  return response;
}

/** What is masked never reaches the upstream. */
async function judgeInput(call: Call, evaluateInput: NonNullable<LlmPhases['evaluateInput']>): Promise<void> {
  const { request } = call;
  const spans = await evaluateInput(request, call.scope);
  if (spans === undefined || spans.length === 0) return;
  call.body = new MadeBody(maskRequest(request.body, spans), call.surface);
}

async function deliver(call: Call, routed: Routed): Promise<void> {
  if (routed.kind !== 'streaming') {
    await deliverWhole(call, routed);
    return;
  }
  try {
    await routed.play();
    if (!call.answer.gone) routed.report(null);
  } catch (error) {
    if (error instanceof UpstreamFailure) routed.report(error);
    throw error;
  }
}
