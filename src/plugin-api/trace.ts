/**
 * Where a call stands in its caller's trace (W3C Trace Context). Upstreams get it as `traceparent` and `tracestate`,
 * with {@link TraceContext.spanId} as their parent.
 */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits. */
  readonly traceId: string;
  /** The call's own span: 16 lower-case hexadecimal digits. */
  readonly spanId: string;
  /** The client's span; `null` when the trace begins here. */
  readonly parentSpanId: string | null;
  /** Bit 0: the trace is recorded. Bit 1: its id is random. */
  readonly flags: number;
  /** The client's `tracestate`, as it came; `null` when it sent none that can be read. */
  readonly state: string | null;
}
