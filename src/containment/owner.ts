import type { RequestScope } from '../request-scope.ts';

/** Numbers of one plugin in one phase. Plain fields, so that counting costs nothing; rendered when scraped. */
export interface PhaseCounters {
  calls: number;
  failures: number;
  timeouts: number;
  /** Calls that were not made, because the plugin was quarantined. */
  skipped: number;
  /** Wall-clock seconds from call to settlement. */
  seconds: number;
}

/** The place a call into a plugin is made from; the label `phase` of the metrics. */
export type Phase =
  | 'startup'
  | 'shutdown'
  | 'health'
  | 'route'
  | 'middleware'
  | 'auth'
  | 'hook'
  | 'evaluator'
  | 'strategy'
  | 'tool'
  | 'exporter'
  | 'provider'
  | 'storage'
  | 'background';

/** How a plugin failed. */
export type FailureKind = 'error' | 'timeout' | 'invalid' | 'protocol' | 'late';

/** One runtime failure of a plugin. See docs/plugins.md, "When a plugin fails". */
export interface PluginFailure {
  readonly phase: Phase;
  readonly kind: FailureKind;
  readonly error: Error;
  /** The request that was being served; `null` outside of requests. */
  readonly requestId: string | null;
}

/**
 * Who answers for a piece of code: one plugin in one generation. Containment knows plugins only as owners, and tells
 * them of failures; what a failure leads to is decided elsewhere.
 */
export interface Owner {
  readonly name: string;
  /** Real path of the plugin's folder, to recognise its frames in a stack; `null` when it has none. */
  readonly root: string | null;
  readonly callTimeoutMs: number;
  counters(phase: Phase): PhaseCounters;
  fail(failure: PluginFailure): void;
}

/** What the current asynchronous context belongs to. */
export interface CallContext {
  readonly owner: Owner;
  readonly phase: Phase;
  /** What the call is made for; `null` outside of requests. */
  readonly request: RequestScope | null;
}
