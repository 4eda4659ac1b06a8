import {
  type Context,
  createTraceState,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  type IdGenerator,
  ParentBasedSampler,
  RandomIdGenerator,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { CallRecord, TraceContext } from 'routeiq-gateway/plugin';
import { errorType, spanAttributes } from './call-attributes.ts';
import { type Delivery, WatchedTraceExporter } from './delivery.ts';
import type { CollectorSettings } from './settings.ts';

/** Spans that may wait for a collector. */
const MAX_QUEUE = 4096;
/** So many in a row are sent before more are taken: with the largest batch of the gateway the queue never overflows. */
const MAX_UNSENT = 2048;

/** Makes a span of every call. */
export class CallTracer {
  readonly #ids = new RecordedIds();
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  #unsent = 0;

  constructor(settings: CollectorSettings, resource: Resource, delivery: Delivery) {
    const processor = new BatchSpanProcessor({
      exporter: new WatchedTraceExporter(settings, delivery),
      maxQueueSize: MAX_QUEUE,
      scheduledDelayMillis: settings.intervalMs,
      exportTimeoutMillis: settings.timeoutMs,
    });
    this.#provider = new TracerProvider({
      resource,
      idGenerator: this.#ids,
      // A client that does not record its trace does not want the gateway's part of it either.
      sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
      spanProcessors: [processor],
    });
    this.#tracer = this.#provider.getTracer('routeiq-gateway');
  }

  add(record: CallRecord): void {
    const { operation, model, startedAt, totalMs } = record;
    this.#ids.trace = record.trace;
    const span = this.#tracer.startSpan(
      `${operation} ${model}`,
      { kind: SpanKind.CLIENT, startTime: startedAt, attributes: spanAttributes(record) },
      parentOf(record.trace),
    );
    const error = errorType(record);
    if (error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    span.end(startedAt + totalMs);
    this.#unsent++;
  }

  /** Resolves at once while few spans wait, else when they have been sent. Never rejects. */
  async makeRoom(): Promise<void> {
    if (this.#unsent >= MAX_UNSENT) await this.flush();
  }

  /** Never rejects: what failed is known to {@link Delivery}. */
  async flush(): Promise<void> {
    this.#unsent = 0;
    await this.#provider.forceFlush().catch(ignore);
  }

  async close(): Promise<void> {
    await this.#provider.shutdown().catch(ignore);
  }
}

/** The span of the client, which may be of any service. */
function parentOf(taken: TraceContext | null): Context {
  if (taken === null || taken.parentSpanId === null) return ROOT_CONTEXT;
  const { traceId, parentSpanId: spanId, flags: traceFlags, state } = taken;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags,
    isRemote: true,
    ...(state !== null && { traceState: createTraceState(state) }),
  });
}

/** The ids that upstreams have been told. */
class RecordedIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  /** That of the call whose span is made. */
  trace: TraceContext | null = null;

  generateTraceId(): string {
    return this.trace?.traceId ?? this.#random.generateTraceId();
  }

  generateSpanId(): string {
    return this.trace?.spanId ?? this.#random.generateSpanId();
  }
}

function ignore(): void {}
