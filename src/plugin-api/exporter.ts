import type { LlmSurface, LlmUsage } from './llm.ts';
import type { TraceContext } from './trace.ts';

/** One finished LLM call. */
export interface CallRecord {
  /** The request id, as in `x-request-id`. */
  readonly id: string;
  readonly surface: LlmSurface;
  /** OpenTelemetry's `gen_ai.operation.name` of the surface: `chat`, `embeddings`, … */
  readonly operation: string;
  /** What the client asked for. */
  readonly model: string;
  /** The model's name at the upstream that was tried last. */
  readonly upstreamModel: string | null;
  readonly deployment: string | null;
  readonly provider: string | null;
  readonly identity: string | null;
  readonly stream: boolean;
  /** HTTP status that the client got. */
  readonly status: number;
  /** Code of the error that the client got. */
  readonly error: string | null;
  readonly attempts: number;
  readonly usage: LlmUsage | null;
  /** At the deployment's configured prices; `null` when there are none, or the usage is not known. */
  readonly costUsd: number | null;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly totalMs: number;
  readonly firstByteMs: number | null;
  /** What plugins took of it, by phase: from call to settlement, waiting included. Exporters are not among them. */
  readonly plugins: readonly { readonly plugin: string; readonly phase: string; readonly ms: number }[];
  /** Milliseconds from arrival to the first byte of a streamed answer. */
  readonly firstTokenMs: number | null;
  /** The client's trace, or one that has begun with the call. */
  readonly trace: TraceContext | null;
}

/**
 * Takes telemetry out of the gateway, in batches and off the request's path. A failing exporter is logged and
 * counted; no request notices.
 *
 * @example
 * ```ts
 * app.exporter({ name: 'stdout', export: (batch) => { for (const call of batch) context.logger.info('call', call); } });
 * ```
 */
export interface Exporter {
  readonly name: string;
  export(batch: readonly CallRecord[]): void | Promise<void>;
  /** Called once before shutdown, after the last batch. */
  flush?(): void | Promise<void>;
}
