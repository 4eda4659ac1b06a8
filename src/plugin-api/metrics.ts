export type MetricLabels = Readonly<Record<string, string | number>>;

export interface MetricOptions {
  readonly help?: string;
  readonly labelNames?: readonly string[];
}

export interface Counter {
  /** Adds `value` (default 1). */
  inc(labels?: MetricLabels, value?: number): void;
  inc(value: number, labels?: MetricLabels): void;
}

export interface Gauge {
  set(value: number, labels?: MetricLabels): void;
  set(labels: MetricLabels, value: number): void;
  /** Adds `value` (default 1). */
  inc(labels?: MetricLabels, value?: number): void;
  inc(value: number, labels?: MetricLabels): void;
  /** Takes `value` away (default 1). */
  dec(labels?: MetricLabels, value?: number): void;
  dec(value: number, labels?: MetricLabels): void;
}

export interface Histogram {
  /** In the metric's own unit; the convention is seconds and bytes. */
  observe(value: number, labels?: MetricLabels): void;
  observe(labels: MetricLabels, value: number): void;
}

/**
 * A plugin's metrics. `counter('hits')` of the plugin `my-plugin` is `llmrouter_plugin_my_plugin_hits` in `/metrics`.
 * Asking twice for one name gives the same metric. Number and labels may stand in either order.
 *
 * @example
 * ```ts
 * const hits = context.metrics.counter('hits', { help: 'Requests by path', labelNames: ['path'] });
 * const seconds = context.metrics.histogram('seconds', { buckets: [0.01, 0.1, 1] });
 * hits.inc({ path: '/now' });
 * seconds.observe(0.03);
 * ```
 */
export interface PluginMetrics {
  counter(name: string, options?: MetricOptions): Counter;
  gauge(name: string, options?: MetricOptions): Gauge;
  histogram(name: string, options?: MetricOptions & { readonly buckets?: readonly number[] }): Histogram;
}
