import {
  Counter,
  Histogram,
  type MetricObjectWithValues,
  type MetricValueWithName,
  type Registry,
} from 'prom-client';
import type { CallSeries, CallStats } from './call-stats.ts';
import type { BucketCounts } from './histogram.ts';

const LABELS = [
  'gen_ai_operation_name',
  'gen_ai_provider_name',
  'gen_ai_request_model',
  'gen_ai_response_model',
  'error_type',
] as const;
const TOKEN_LABELS = [...LABELS, 'gen_ai_token_type'] as const;
type Labels = Partial<Record<(typeof TOKEN_LABELS)[number], string>>;

const DURATION = 'gen_ai_client_operation_duration_seconds';
const TOKENS = 'gen_ai_client_token_usage';
const FIRST_TOKEN = 'gen_ai_server_time_to_first_token_seconds';
const PER_TOKEN = 'gen_ai_server_time_per_output_token_seconds';
const ATTEMPTS = 'llmrouter_upstream_attempts_total';
const COST = 'llmrouter_cost_usd_total';

/** The names that plugins cannot take. */
export const CALL_METRICS: readonly string[] = [DURATION, TOKENS, FIRST_TOKEN, PER_TOKEN, ATTEMPTS, COST];

/**
 * The metrics of LLM calls, with the names of OpenTelemetry's semantic conventions for generative AI as Prometheus
 * spells them. They are made of {@link CallStats} when somebody scrapes.
 */
export function registerCalls(registry: Registry, stats: CallStats): void {
  histogram(
    registry,
    stats,
    DURATION,
    'Duration of LLM calls, from arrival to the end of the answer',
    LABELS,
    [({ duration }) => [duration, {}]],
  );
  histogram(registry, stats, TOKENS, 'Tokens used by LLM calls', TOKEN_LABELS, [
    ({ inputTokens }) => [inputTokens, { gen_ai_token_type: 'input' }],
    ({ outputTokens }) => [outputTokens, { gen_ai_token_type: 'output' }],
  ]);
  histogram(
    registry,
    stats,
    FIRST_TOKEN,
    'Time from arrival to the first byte of a streamed answer',
    LABELS,
    [({ firstToken }) => [firstToken, {}]],
  );
  histogram(
    registry,
    stats,
    PER_TOKEN,
    'Time per output token after the first one, of streamed answers',
    LABELS,
    [({ perToken }) => [perToken, {}]],
  );
  counter(registry, stats, ATTEMPTS, 'Attempts at upstreams', ({ attempts }) => attempts);
  counter(
    registry,
    stats,
    COST,
    'Cost of LLM calls at the configured prices, in US dollars',
    ({ costUsd }) => costUsd,
  );
}

type Part = (series: CallSeries) => readonly [counts: BucketCounts, labels: Labels];

function histogram(
  registry: Registry,
  stats: CallStats,
  name: string,
  help: string,
  labelNames: readonly string[],
  parts: readonly Part[],
): void {
  registry.registerMetric(
    new CountedHistogram({ name, help, labelNames: [...labelNames], registers: [] }, () =>
      stats.rows().flatMap((series) =>
        parts.flatMap((part) => {
          const [counts, labels] = part(series);
          return samplesOf(name, counts, { ...labelsOf(series), ...labels });
        }),
      ),
    ),
  );
}

function counter(
  registry: Registry,
  stats: CallStats,
  name: string,
  help: string,
  value: (series: CallSeries) => number,
): void {
  new Counter({
    name,
    help,
    labelNames: [...LABELS],
    registers: [registry],
    collect() {
      this.reset();
      for (const series of stats.rows()) this.inc(labelsOf(series), value(series));
    },
  });
}

type Rendered = MetricObjectWithValues<MetricValueWithName<string>>;
type Samples = readonly MetricValueWithName<string>[];

/** prom-client's histogram takes observations one by one, with a look-up of their labels each: these are counted already. */
class CountedHistogram extends Histogram {
  readonly #help: { readonly name: string; readonly help: string };
  readonly #samples: () => Samples;

  constructor(options: ConstructorParameters<typeof Histogram>[0], samples: () => Samples) {
    super(options);
    this.#help = options;
    this.#samples = samples;
  }

  override async get(): Promise<Rendered> {
    // The library declares a constant for it that it does not export.
    const type = 'histogram' as unknown as Rendered['type'];
    return { ...this.#help, type, aggregator: 'sum', collect: () => undefined, values: [...this.#samples()] };
  }

  /** What the registry asks for in place of {@link get} when it renders text. */
  getForPromString(): Promise<Rendered> {
    return this.get();
  }
}

function samplesOf(name: string, counts: BucketCounts, labels: Labels): MetricValueWithName<string>[] {
  const buckets = counts.cumulative();
  const count = buckets.at(-1)?.count ?? 0;
  if (count === 0) return [];
  return [
    ...buckets.map(({ le, count: value }) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le },
      value,
    })),
    { metricName: `${name}_sum`, labels, value: counts.sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

/** A label that has no value is left out, as the conventions ask for attributes. */
function labelsOf({ operation, provider, model, upstreamModel, error }: CallSeries): Labels {
  const labels: Labels = { gen_ai_operation_name: operation };
  if (provider !== '') labels.gen_ai_provider_name = provider;
  if (model !== '') labels.gen_ai_request_model = model;
  if (upstreamModel !== '') labels.gen_ai_response_model = upstreamModel;
  if (error !== '') labels.error_type = error;
  return labels;
}
