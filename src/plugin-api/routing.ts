import type { LlmRequest } from './llm.ts';

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

/** How a routed call ended, for strategies that learn. */
export interface RouteResult {
  readonly deployment: Candidate;
  readonly ok: boolean;
  /** HTTP status of the upstream; `null` when none came. */
  readonly status: number | null;
  readonly totalMs: number;
  /** Time to the first byte of the answer; `null` when none came. */
  readonly firstByteMs: number | null;
}

/**
 * Chooses among a group's deployments. Used when `router_settings.routing_strategy` names it. One that throws, hangs
 * or returns what is no candidate is counted, and the default strategy decides.
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
  ): Candidate | string | undefined | Promise<Candidate | string | undefined>;
  observe?(result: RouteResult): void | Promise<void>;
}
