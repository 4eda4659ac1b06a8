import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { PluginLoadError } from '../errors.ts';
import type { MetricLabels, MetricOptions, PluginMetrics } from '../plugin-api/metrics.ts';

/** Label combinations that one metric of a plugin may have; the rest is counted under `overflow`. */
const MAX_SERIES = 1000;

/** Prometheus data model, "Metric names and labels". */
const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

type Kind = 'counter' | 'gauge' | 'histogram';

/**
 * One plugin's metrics, prefixed with its name. Two plugins whose names become one prefix share no metric: the second
 * one's name is told apart by a number.
 */
export function createPluginMetrics(registry: Registry, plugin: string, prefix: string): PluginMetrics {
  const made = new Map<string, { readonly kind: Kind; readonly metric: unknown }>();
  const once = <T>(kind: Kind, name: string, make: (fullName: string) => T): T => {
    if (!NAME.test(name)) throw wrongName(plugin, name);
    const known = made.get(name);
    if (known?.kind === kind) return known.metric as T;
    if (known !== undefined) {
      throw new PluginLoadError(
        `Plugin "${plugin}": the metric "${name}" is a ${known.kind} already, not a ${kind}`,
      );
    }
    const metric = make(`${prefix}_${name}`);
    made.set(name, { kind, metric });
    return metric;
  };
  return Object.freeze<PluginMetrics>({
    counter: (name, options) =>
      once('counter', name, (fullName) => {
        const counter = new Counter({ ...configuration(fullName, options), registers: [registry] });
        const bounded = new SeriesBound(options);
        return { inc: (labels, value = 1) => counter.inc(bounded.admit(labels), value) };
      }),
    gauge: (name, options) =>
      once('gauge', name, (fullName) => {
        const gauge = new Gauge({ ...configuration(fullName, options), registers: [registry] });
        const bounded = new SeriesBound(options);
        return {
          set: (value, labels) => gauge.set(bounded.admit(labels), value),
          inc: (labels, value = 1) => gauge.inc(bounded.admit(labels), value),
          dec: (labels, value = 1) => gauge.dec(bounded.admit(labels), value),
        };
      }),
    histogram: (name, options) =>
      once('histogram', name, (fullName) => {
        const buckets = options?.buckets && { buckets: [...options.buckets] };
        const histogram = new Histogram({
          ...configuration(fullName, options),
          ...buckets,
          registers: [registry],
        });
        const bounded = new SeriesBound(options);
        return { observe: (value, labels) => histogram.observe(bounded.admit(labels), value) };
      }),
  });
}

/** Keeps a label with free text (a user, a path) from filling the memory. */
class SeriesBound {
  readonly #labelNames: readonly string[];
  readonly #seen = new Set<string>();

  constructor(options: MetricOptions | undefined) {
    this.#labelNames = options?.labelNames ?? [];
  }

  admit(labels: MetricLabels = {}): Record<string, string | number> {
    const key = JSON.stringify(this.#labelNames.map((name) => labels[name] ?? null));
    if (this.#seen.has(key)) return { ...labels };
    if (this.#seen.size < MAX_SERIES) {
      this.#seen.add(key);
      return { ...labels };
    }
    return Object.fromEntries(this.#labelNames.map((name) => [name, 'overflow']));
  }
}

function configuration(
  name: string,
  options: MetricOptions | undefined,
): { name: string; help: string; labelNames: string[] } {
  return { name, help: options?.help ?? name, labelNames: [...(options?.labelNames ?? [])] };
}

function wrongName(plugin: string, name: unknown): PluginLoadError {
  const message = `Plugin "${plugin}": metric name ${JSON.stringify(name)}, expected letters, digits and "_", not beginning with a digit`;
  return new PluginLoadError(message, { plugin });
}
