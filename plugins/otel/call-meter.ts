import type { Attributes, Counter, Histogram } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { CallRecord } from 'routeiq-gateway/plugin';
import { metricAttributes } from './call-attributes.ts';
import { type Delivery, WatchedMetricExporter } from './delivery.ts';
import type { CollectorSettings } from './settings.ts';

/** Bounds that the conventions ask for, in seconds and in tokens. */
const DURATIONS = Array.from({ length: 14 }, (_, power) => 0.01 * 2 ** power);
const TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power);
const FIRST_TOKEN = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];

/** Counts calls. Source: OpenTelemetry semantic conventions for generative AI, "Metrics". */
export class CallMeter {
  readonly #provider: MeterProvider;
  readonly #duration: Histogram;
  readonly #tokens: Histogram;
  readonly #firstToken: Histogram;
  readonly #perToken: Histogram;
  readonly #cost: Counter;

  constructor(settings: CollectorSettings, resource: Resource, delivery: Delivery) {
    const reader = new PeriodicExportingMetricReader({
      exporter: new WatchedMetricExporter(settings, delivery),
      exportIntervalMillis: settings.intervalMs,
      exportTimeoutMillis: Math.min(settings.timeoutMs, settings.intervalMs),
    });
    this.#provider = new MeterProvider({ resource, readers: [reader] });
    const meter = this.#provider.getMeter('routeiq-gateway');
    const histogram = (name: string, unit: string, description: string, bounds: number[]): Histogram =>
      meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: bounds } });
    this.#duration = histogram(
      'gen_ai.client.operation.duration',
      's',
      'Duration of LLM calls, from arrival to the end of the answer',
      DURATIONS,
    );
    this.#tokens = histogram('gen_ai.client.token.usage', '{token}', 'Tokens used by LLM calls', TOKENS);
    this.#firstToken = histogram(
      'gen_ai.server.time_to_first_token',
      's',
      'Time from arrival to the first byte of a streamed answer',
      FIRST_TOKEN,
    );
    this.#perToken = histogram(
      'gen_ai.server.time_per_output_token',
      's',
      'Time per output token after the first one, of streamed answers',
      PER_TOKEN,
    );
    this.#cost = meter.createCounter('llmrouter.cost', {
      unit: '{USD}',
      description: 'Cost of LLM calls at the configured prices',
    });
  }

  add(record: CallRecord): void {
    const { totalMs, firstTokenMs, usage, costUsd } = record;
    const attributes = metricAttributes(record);
    this.#duration.record(totalMs / 1000, attributes);
    if (usage !== null) this.#countTokens(usage.promptTokens, usage.completionTokens, attributes);
    if (costUsd !== null) this.#cost.add(costUsd, attributes);
    if (firstTokenMs === null) return;
    this.#firstToken.record(firstTokenMs / 1000, attributes);
    const further = (usage?.completionTokens ?? 0) - 1;
    if (further > 0) this.#perToken.record((totalMs - firstTokenMs) / 1000 / further, attributes);
  }

  /** Never rejects: what failed is known to {@link Delivery}. */
  async flush(): Promise<void> {
    await this.#provider.forceFlush().catch(ignore);
  }

  async close(): Promise<void> {
    await this.#provider.shutdown().catch(ignore);
  }

  #countTokens(input: number, output: number, attributes: Attributes): void {
    this.#tokens.record(input, { ...attributes, 'gen_ai.token.type': 'input' });
    if (output > 0) this.#tokens.record(output, { ...attributes, 'gen_ai.token.type': 'output' });
  }
}

function ignore(): void {}
