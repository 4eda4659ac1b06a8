import { Registry } from 'prom-client';
import type { MetricOptions, PluginMetrics } from '../../plugin-api/metrics.ts';
import { MetricNames } from '../../telemetry/metric-names.ts';
import { createPluginMetrics } from '../../telemetry/plugin-metrics.ts';
import type { Channel } from '../channel/channel.ts';

type Kind = keyof PluginMetrics;
type Method = (...values: readonly unknown[]) => void;

/**
 * A plugin's metrics in its own process. They are kept here too, so that wrong use throws where it happens; those that
 * are scraped are the gateway's.
 */
export function createRemoteMetrics(channel: Channel, plugin: string): PluginMetrics {
  const local = createPluginMetrics(new Registry(), plugin, new MetricNames([]));
  const made = new Map<unknown, unknown>();
  const make = (kind: Kind) => (name: string, options?: MetricOptions) => {
    const metric = local[kind](name, options);
    const known = made.get(metric);
    if (known !== undefined) return known;
    const methods = Object.entries(metric as unknown as Record<string, Method>).map(([method, run]) => [
      method,
      (...values: readonly unknown[]) => {
        run(...values);
        channel.notify('metric', { kind, name, options, method, values });
      },
    ]);
    const remote: unknown = Object.freeze(Object.fromEntries(methods));
    made.set(metric, remote);
    return remote;
  };
  return Object.freeze({
    counter: make('counter'),
    gauge: make('gauge'),
    histogram: make('histogram'),
  }) as unknown as PluginMetrics;
}
