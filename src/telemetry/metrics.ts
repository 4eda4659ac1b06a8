import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { PluginMetrics } from '../plugin-api/metrics.ts';
import { CALL_METRICS, registerCalls } from './call-metrics.ts';
import { CallStats } from './call-stats.ts';
import { MetricNames } from './metric-names.ts';
import { PluginLedger } from './plugin-ledger.ts';
import { createPluginMetrics } from './plugin-metrics.ts';
import { UpgradeCounts } from './upgrade-counts.ts';

/** Counts of HTTP answers, as the server keeps them. */
export interface HttpCounts {
  rows(): readonly {
    readonly surface: string;
    readonly method: string;
    readonly status: string;
    readonly count: number;
  }[];
}

/** What `/metrics` says of plugins besides their costs. */
export type PluginStates = () => readonly { readonly name: string; readonly state: string }[];

/** All numbers of one gateway. Stages keep plain counters; they are read when somebody scrapes. */
export interface Metrics {
  readonly ledger: PluginLedger;
  /** What is counted of LLM calls. */
  readonly calls: CallStats;
  readonly upgrades: UpgradeCounts;
  /** The metrics that a plugin makes itself; the same object each time. */
  forPlugin(plugin: string): PluginMetrics;
  observeHttp(counts: HttpCounts): void;
  observePlugins(states: PluginStates): void;
  /** The text that `GET /metrics` answers. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Makes a registry of its own: several gateways may live in one process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const ledger = new PluginLedger();
  const calls = new CallStats();
  const plugins = new Map<string, PluginMetrics>();
  const names = new MetricNames(OWN_NAMES);
  const upgrades = new UpgradeCounts();
  registerLedger(registry, ledger);
  registerCalls(registry, calls);
  registerUpgrades(registry, upgrades);
  const startProcessMetrics = once(() => collectDefaultMetrics({ register: registry }));
  return {
    ledger,
    calls,
    upgrades,
    forPlugin(plugin) {
      const known = plugins.get(plugin);
      if (known !== undefined) return known;
      const metrics = createPluginMetrics(registry, plugin, names);
      plugins.set(plugin, metrics);
      return metrics;
    },
    observeHttp: (counts) => registerHttp(registry, counts),
    observePlugins: (states) => registerStates(registry, states),
    async render() {
      // They sample the event loop all the time: a gateway that nobody scrapes does without.
      startProcessMetrics();
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}

const LEDGER_METRICS = [
  ['calls', 'llmrouter_plugin_calls_total', 'Calls into a plugin'],
  ['failures', 'llmrouter_plugin_failures_total', 'Calls into a plugin that failed, time-outs included'],
  ['timeouts', 'llmrouter_plugin_timeouts_total', 'Calls into a plugin that did not settle in time'],
  [
    'skipped',
    'llmrouter_plugin_skipped_total',
    'Calls that were not made because the plugin was quarantined',
  ],
  ['seconds', 'llmrouter_plugin_seconds_total', 'Seconds from call to settlement, waiting included'],
] as const;
const HTTP_METRIC = 'llmrouter_http_responses_total';
const STATE_METRIC = 'llmrouter_plugin_state';
const RELOADS_METRIC = 'llmrouter_plugin_reloads_total';
const ROLLBACKS_METRIC = 'llmrouter_plugin_rollbacks_total';
const OWN_NAMES = [
  ...CALL_METRICS,
  ...LEDGER_METRICS.map(([, name]) => name),
  HTTP_METRIC,
  STATE_METRIC,
  RELOADS_METRIC,
  ROLLBACKS_METRIC,
];

function registerLedger(registry: Registry, ledger: PluginLedger): void {
  for (const [field, name, help] of LEDGER_METRICS) {
    new Counter({
      name,
      help,
      labelNames: ['plugin', 'phase'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { plugin, phase, counters } of ledger.rows()) this.inc({ plugin, phase }, counters[field]);
      },
    });
  }
}

function registerUpgrades(registry: Registry, { reloads, rollbacks }: UpgradeCounts): void {
  new Counter({
    name: RELOADS_METRIC,
    help: 'Reloads of plugins that changed something (ok), or failed and changed nothing (failed)',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(reloads)) this.inc({ result }, count);
    },
  });
  new Counter({
    name: ROLLBACKS_METRIC,
    help: 'New versions that failed on probation and gave way to the one before them',
    labelNames: ['plugin'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [plugin, count] of rollbacks) this.inc({ plugin }, count);
    },
  });
}

function registerHttp(registry: Registry, counts: HttpCounts): void {
  new Counter({
    name: HTTP_METRIC,
    help: 'Answers given, by surface, method and class of status',
    labelNames: ['surface', 'method', 'status'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { count, ...labels } of counts.rows()) this.inc(labels, count);
    },
  });
}

function registerStates(registry: Registry, states: PluginStates): void {
  new Gauge({
    name: STATE_METRIC,
    help: 'The state that a plugin is in (1)',
    labelNames: ['plugin', 'state'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, state } of states()) this.set({ plugin: name, state }, 1);
    },
  });
}
