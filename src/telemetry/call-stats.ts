import type { LlmSurface, LlmUsage } from '../plugin-api/llm.ts';
import type { Candidate } from '../plugin-api/routing.ts';
import { operationOf, providerNameOf } from './gen-ai.ts';
import { BucketCounts } from './histogram.ts';

/** Bounds as the semantic conventions advise them. Seconds, but for tokens. */
export const BOUNDS: {
  readonly duration: readonly number[];
  readonly tokens: readonly number[];
  readonly firstToken: readonly number[];
  readonly perToken: readonly number[];
} = {
  duration: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
  tokens: [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304],
  firstToken: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  perToken: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
};

/** A finished call, as far as it is counted. */
export interface CountedCall {
  readonly surface: { readonly name: LlmSurface };
  /** The deployment that was tried last, `null` when none was. */
  readonly candidate: Candidate | null;
  readonly stream: boolean;
  readonly usage: LlmUsage | null;
  readonly attempts: number;
  /** Milliseconds from arrival to the end of the answer. */
  readonly totalMs: number;
  /** Milliseconds to the first byte of the answer, `null` when none has gone out. */
  readonly firstByteMs: number | null;
}

/** What is counted of the calls with one set of labels. */
export interface CallSeries {
  readonly operation: string;
  readonly provider: string;
  /** What clients ask for; empty when no deployment had a part in the call: clients can ask for anything. */
  readonly model: string;
  readonly upstreamModel: string;
  /** Code of the error that the client got, empty for none. */
  readonly error: string;
  readonly duration: BucketCounts;
  readonly inputTokens: BucketCounts;
  readonly outputTokens: BucketCounts;
  readonly firstToken: BucketCounts;
  readonly perToken: BucketCounts;
  attempts: number;
  costUsd: number;
}

/** Counts every call as plain numbers, which are turned into text when somebody looks. */
export class CallStats {
  readonly #series = new Map<Candidate | null, Map<string, CallSeries>>();

  /** @param error code of the error that the client got, `null` for none */
  count(call: CountedCall, error: string | null): void {
    const series = this.#seriesOf(call, error ?? '');
    const seconds = call.totalMs / 1000;
    series.duration.observe(seconds);
    series.attempts += call.attempts;
    if (call.usage !== null) countTokens(series, call.usage, call.candidate);
    if (!call.stream || call.firstByteMs === null || error !== null) return;
    series.firstToken.observe(call.firstByteMs / 1000);
    const rest = (call.usage?.completionTokens ?? 0) - 1;
    if (rest > 0) series.perToken.observe((seconds - call.firstByteMs / 1000) / rest);
  }

  /** Every combination of labels that has been counted. Deployments and codes are the operator's and ours: few. */
  rows(): CallSeries[] {
    return [...this.#series.values()].flatMap((byKind) => [...byKind.values()]);
  }

  #seriesOf({ candidate, surface }: CountedCall, error: string): CallSeries {
    let byKind = this.#series.get(candidate);
    if (byKind === undefined) {
      byKind = new Map();
      this.#series.set(candidate, byKind);
    }
    // The common call is one without an error: its key is there already.
    const key = error === '' ? surface.name : `${surface.name} ${error}`;
    let series = byKind.get(key);
    if (series === undefined) {
      series = createSeries(candidate, surface.name, error);
      byKind.set(key, series);
    }
    return series;
  }
}

/** What a call has cost, in the currency of the configured prices (US dollars); `null` when that is not known. */
export function costOf(usage: LlmUsage | null, candidate: Candidate | null): number | null {
  if (usage === null || candidate === null) return null;
  const { inputCostPerToken, outputCostPerToken } = candidate;
  if (inputCostPerToken === null && outputCostPerToken === null) return null;
  return usage.promptTokens * (inputCostPerToken ?? 0) + usage.completionTokens * (outputCostPerToken ?? 0);
}

function countTokens(series: CallSeries, usage: LlmUsage, candidate: Candidate | null): void {
  series.inputTokens.observe(usage.promptTokens);
  if (usage.completionTokens > 0) series.outputTokens.observe(usage.completionTokens);
  series.costUsd += costOf(usage, candidate) ?? 0;
}

function createSeries(candidate: Candidate | null, surface: LlmSurface, error: string): CallSeries {
  return {
    operation: operationOf(surface),
    provider: candidate === null ? '' : providerNameOf(candidate.provider),
    model: candidate?.group ?? '',
    upstreamModel: candidate?.model ?? '',
    error,
    duration: new BucketCounts(BOUNDS.duration),
    inputTokens: new BucketCounts(BOUNDS.tokens),
    outputTokens: new BucketCounts(BOUNDS.tokens),
    firstToken: new BucketCounts(BOUNDS.firstToken),
    perToken: new BucketCounts(BOUNDS.perToken),
    attempts: 0,
    costUsd: 0,
  };
}
