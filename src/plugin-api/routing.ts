import type { LlmRequest, LlmUsage } from './llm.ts';

/** One deployment that can serve a request. Frozen. */
export interface Candidate {
  /** Unique within the gateway, for example `gpt-4o/0`; `x-llmrouter-deployment` carries it. */
  readonly id: string;
  /** The name that clients ask for. */
  readonly group: string;
  /** The model's name at the upstream. */
  readonly model: string;
  readonly provider: string;
  /** Share among the group's deployments. Default: 1. */
  readonly weight: number;
  readonly rpm: number | null;
  readonly tpm: number | null;
  /** `litellm_params.order`: lower is preferred; `null` comes last. */
  readonly order: number | null;
  readonly inputCostPerToken: number | null;
  readonly outputCostPerToken: number | null;
}

/** The choice of a deployment. */
export interface RouteDecision {
  readonly deployment: Candidate;
  /** The strategy that decided. */
  readonly strategy: string;
  /** 1 for the first try. */
  readonly attempt: number;
}

/** How busy the candidates are at the moment of the choice. */
export interface RouteLoad {
  /** Attempts of this process that still run, streams included, in the order of the candidates. */
  readonly inFlight: readonly number[];
}

/** How an attempt ended, for strategies that learn. Nobody hears of one whose client has left. */
export interface RouteResult {
  readonly requestId: string;
  readonly deployment: Candidate;
  readonly ok: boolean;
  /** HTTP status of the upstream; `null` when none came. */
  readonly status: number | null;
  readonly totalMs: number;
  /** Time to the head of the answer; `null` when none came. */
  readonly firstByteMs: number | null;
  /** Time to the first event of a stream; `null` when the answer was not streamed to the client. */
  readonly firstTokenMs: number | null;
  /** `null` when the upstream has counted nothing, and after a failure. */
  readonly usage: LlmUsage | null;
}

/**
 * Chooses among a group's deployments. Used when `router_settings.routing_strategy` names it. One that throws, hangs
 * or returns what is no candidate is counted, and the default strategy decides. A `GatewayError` with the code
 * `rate_limit_exceeded` is an answer: no candidate may be asked now. Then the model's fallbacks are tried, and without
 * one the client gets it, with its `headers`.
 *
 * @example
 * ```ts
 * app.routingStrategy('first', { select: (_request, candidates) => candidates[0] });
 * ```
 */
export interface RoutingStrategy {
  /** One of `candidates` (never empty), or its `id`. */
  select(
    request: LlmRequest,
    candidates: readonly Candidate[],
    load: RouteLoad,
  ): Candidate | string | undefined | Promise<Candidate | string | undefined>;
  observe?(result: RouteResult): void | Promise<void>;
}
