import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import protobuf from 'protobufjs';

type Attributes = Readonly<Record<string, unknown>>;

export interface CollectedSpan {
  readonly resource: Attributes;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly milliseconds: number;
  readonly attributes: Attributes;
  readonly status: { readonly code?: number; readonly message?: string };
}

/** One series of a metric: a histogram has a count, a counter a sum alone. */
export interface CollectedPoint {
  readonly name: string;
  readonly unit: string;
  readonly attributes: Attributes;
  readonly sum: number;
  readonly count: number | null;
  readonly bounds: readonly number[];
}

/** What an OpenTelemetry collector looks like from outside: OTLP over HTTP, in protobuf. */
export interface Collector {
  /** For the setting `endpoint`. */
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** Those of the last delivery: metrics are cumulative. */
  readonly points: () => readonly CollectedPoint[];
  readonly headers: readonly IncomingHttpHeaders[];
  /** Resolves at the next delivery of spans. */
  nextSpans(): Promise<unknown>;
}

export async function startCollector(t: TestContext): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const events = new EventEmitter();
  let points: CollectedPoint[] = [];
  const server = createServer(async (req, res) => {
    const body = await buffer(req);
    headers.push(req.headers);
    if (req.url === '/v1/traces') spans.push(...readSpans(body));
    else if (req.url === '/v1/metrics') points = readPoints(body);
    else res.statusCode = 404;
    res.setHeader('content-type', 'application/x-protobuf').end();
    if (req.url === '/v1/traces') events.emit('spans');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    points: () => points,
    headers,
    nextSpans: () => once(events, 'spans'),
  };
}

const { root } = protobuf.parse(readFileSync(join(import.meta.dirname, 'otlp.proto'), 'utf8'));

interface Pair {
  readonly key: string;
  readonly value?: Readonly<Record<string, unknown>>;
}

interface WireSpan {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly parentSpanId?: Uint8Array;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly Pair[];
  readonly status?: { readonly code?: number; readonly message?: string };
}

interface WirePoint {
  readonly asDouble?: number;
  readonly sum?: number;
  readonly count?: string;
  readonly explicitBounds?: readonly number[];
  readonly attributes?: readonly Pair[];
}

interface Wire {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly Pair[] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
  readonly resourceMetrics?: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly {
        readonly name: string;
        readonly unit: string;
        readonly sum?: { readonly dataPoints: readonly WirePoint[] };
        readonly histogram?: { readonly dataPoints: readonly WirePoint[] };
      }[];
    }[];
  }[];
}

function decode(type: string, body: Uint8Array): Wire {
  const message = root.lookupType(type);
  return message.toObject(message.decode(body), { longs: String }) as Wire;
}

function readSpans(body: Uint8Array): CollectedSpan[] {
  return (decode('TraceRequest', body).resourceSpans ?? []).flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        resource: attributesOf(resource.attributes),
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId ?? new Uint8Array()),
        traceState: span.traceState ?? '',
        name: span.name,
        kind: span.kind,
        milliseconds: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
        attributes: attributesOf(span.attributes),
        status: span.status ?? {},
      })),
  );
}

function readPoints(body: Uint8Array): CollectedPoint[] {
  return (decode('MetricsRequest', body).resourceMetrics ?? [])
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    .flatMap(
      ({ name, unit, sum, histogram }) =>
        (histogram ?? sum)?.dataPoints.map((point) => ({
          name,
          unit,
          attributes: attributesOf(point.attributes),
          sum: point.sum ?? point.asDouble ?? 0,
          count: point.count === undefined ? null : Number(point.count),
          bounds: point.explicitBounds ?? [],
        })) ?? [],
    );
}

function attributesOf(pairs: readonly Pair[] = []): Attributes {
  return Object.fromEntries(
    pairs.map(({ key, value = {} }) => {
      const { intValue, stringValue, boolValue, doubleValue } = value;
      return [key, intValue === undefined ? (stringValue ?? boolValue ?? doubleValue) : Number(intValue)];
    }),
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
