import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { PluginLoadError } from '../errors.ts';
import type { MetricLabels, MetricOptions, PluginMetrics } from '../plugin-api/metrics.ts';
import type { MetricNames } from './metric-names.ts';
import { SeriesTable } from './series-table.ts';

/** Metrics that one plugin may make: a name made of a user's text must not fill the memory. */
const MAX_METRICS = 500;

/** Prometheus data model, "Metric names and labels"; names with two underscores in front are its own. */
const NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,127}$/;

/** A number or labels. */
type Told = number | MetricLabels;

type Kind = 'counter' | 'gauge' | 'histogram';

interface Made {
  readonly kind: Kind;
  readonly labelNames: readonly string[];
  readonly metric: unknown;
}

/**
 * One plugin's metrics, prefixed with its name (`my-plugin` is `llmrouter_plugin_my_plugin_…`). Wrong use throws
 * `plugin_load` or a `RangeError`, naming plugin and metric. Counters and gauges are plain numbers, which prom-client is
 * told when somebody scrapes.
 *
 * @param names all names of the registry; a full name that another owner has already gets a suffix
 */
export function createPluginMetrics(registry: Registry, plugin: string, names: MetricNames): PluginMetrics {
  const made = new Map<string, Made>();
  const once = <T>(
    kind: Kind,
    name: string,
    options: MetricOptions | undefined,
    make: (base: Base) => T,
  ): T => {
    const known = made.get(name);
    if (known !== undefined) return reuse(plugin, name, known, kind, options) as T;
    const labelNames = checkDefinition(plugin, name, kind, options);
    if (made.size >= MAX_METRICS)
      throw wrong(plugin, name, `expected at most ${MAX_METRICS} metrics of one plugin`);
    const fullName = names.take(plugin, name, kind === 'histogram');
    const metric = make({
      name: fullName,
      help: String(options?.help ?? fullName),
      labelNames,
      registers: [registry],
    });
    made.set(name, { kind, labelNames, metric });
    return metric;
  };
  return Object.freeze<PluginMetrics>({
    counter: (name, options) =>
      once('counter', name, options, (base) => {
        const table = new SeriesTable(plugin, name, base.labelNames);
        new Counter({
          ...base,
          collect() {
            this.reset();
            for (const { labels, value } of table) this.inc(labels, value);
          },
        });
        return Object.freeze({
          inc: (first?: Told, second?: Told) => {
            const { series, value } = table.sample(first, second, 1, true);
            table.add(series, value);
          },
        });
      }),
    gauge: (name, options) =>
      once('gauge', name, options, (base) => {
        const table = new SeriesTable(plugin, name, base.labelNames);
        new Gauge({
          ...base,
          collect() {
            for (const { labels, value } of table) this.set(labels, value);
          },
        });
        return Object.freeze({
          set: (first: Told, second?: Told) => {
            const { series, value } = table.sample(first, second);
            series.value = value;
          },
          inc: (first?: Told, second?: Told) => {
            const { series, value } = table.sample(first, second, 1);
            table.add(series, value);
          },
          dec: (first?: Told, second?: Told) => {
            const { series, value } = table.sample(first, second, 1);
            table.add(series, -value);
          },
        });
      }),
    histogram: (name, options) => {
      const buckets = checkBuckets(plugin, name, options?.buckets);
      return once('histogram', name, options, (base) => {
        const histogram = new Histogram(buckets === undefined ? base : { ...base, buckets });
        const table = new SeriesTable(plugin, name, base.labelNames);
        return Object.freeze({
          observe: (first: Told, second?: Told) => {
            const { series, value } = table.sample(first, second);
            histogram.observe(series.labels, value);
          },
        });
      });
    },
  });
}

interface Base {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

/** The metric made before. Options may be left out the second time, but not differ. */
function reuse(
  plugin: string,
  name: string,
  known: Made,
  kind: Kind,
  options: MetricOptions | undefined,
): unknown {
  if (known.kind !== kind) throw wrong(plugin, name, `it is a ${known.kind} already, not a ${kind}`);
  const wanted = options?.labelNames;
  if (wanted !== undefined && wanted.join() !== known.labelNames.join()) {
    throw wrong(plugin, name, `its labels are [${known.labelNames.join(', ')}] already`);
  }
  return known.metric;
}

function checkDefinition(
  plugin: string,
  name: unknown,
  kind: Kind,
  options: MetricOptions | undefined,
): string[] {
  const expected = 'letters, digits and "_", not beginning with a digit or "__", at most 128';
  if (typeof name !== 'string' || !NAME.test(name))
    throw wrong(plugin, name, `expected a name of ${expected}`);
  const labelNames: unknown = options?.labelNames ?? [];
  if (!Array.isArray(labelNames)) throw wrong(plugin, name, 'expected labelNames to be an array');
  for (const label of labelNames) {
    const reserved = kind === 'histogram' && label === 'le';
    if (typeof label !== 'string' || !NAME.test(label) || reserved) {
      throw wrong(plugin, name, `saw the label ${JSON.stringify(label)}, expected ${expected}, not "le"`);
    }
  }
  return [...labelNames];
}

function checkBuckets(plugin: string, name: string, buckets: unknown): number[] | undefined {
  if (buckets === undefined) return undefined;
  const ascending =
    Array.isArray(buckets) &&
    buckets.every((edge, i) => Number.isFinite(edge) && (i === 0 || edge > buckets[i - 1]));
  if (!ascending) throw wrong(plugin, name, 'expected buckets to be ascending finite numbers');
  return [...buckets];
}

function wrong(plugin: string, name: unknown, reason: string): PluginLoadError {
  return new PluginLoadError(`Plugin "${plugin}", metric ${JSON.stringify(name) ?? typeof name}: ${reason}`, {
    plugin,
  });
}
