import type { Logger } from 'winston';
import { resolveSettings } from '../config/settings.ts';
import type { DeploymentConfig, GatewayConfig } from '../config/types.ts';
import type { Containment } from '../containment/containment.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { Outbound, OutboundPolicy } from '../net/outbound-policy.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { PluginContext, PluginModels, PluginTools } from '../plugin-api/context.ts';
import type { PluginMetrics } from '../plugin-api/metrics.ts';
import type { ModelInfo } from '../plugin-api/models.ts';
import type { Storage } from '../plugin-api/storage.ts';
import { namespaced } from '../storage/namespaced.ts';

export interface ContextFactoryOptions {
  readonly config: GatewayConfig;
  readonly containment: Containment;
  readonly outbound: OutboundPolicy;
  readonly pipeline: () => Pipeline;
  readonly models: () => readonly ModelInfo[];
  /** Told when a plugin's list of tools has changed. */
  readonly onToolsChanged: () => void;
  readonly pluginLogger: (plugin: string) => Logger;
  readonly pluginMetrics: (plugin: string) => PluginMetrics;
}

/** Makes what a plugin gets from the gateway: one context per plugin and start, shared with nobody. */
export function createContextFactory(
  options: ContextFactoryOptions,
): (record: PluginRecord, signal: AbortSignal) => PluginContext {
  const { config, outbound, pluginLogger, pluginMetrics } = options;
  return (record, signal) => {
    const outboundOf = outboundFor(record, outbound, config.deployments);
    return Object.freeze({
      settings: resolveSettings({
        plugin: record.name,
        schema: record.metadata?.settings ?? null,
        sources: config.plugins.settings,
        debug: config.debug,
      }),
      logger: pluginLogger(record.name),
      validateOutboundUrl: (url) => outboundOf().validate(url),
      fetch: (url, init) => outboundOf().fetch(url, init),
      storage: namespaced(currentStorage(options.pipeline), `plugin:${record.name}`),
      models: models(options),
      tools: tools(options, signal),
      metrics: pluginMetrics(record.name),
      signal,
    } satisfies PluginContext);
  };
}

/**
 * The outbound policy of one plugin. Where the operator has put an upstream (`api_base`) is trusted, for the plugin
 * that provides that upstream and for no other.
 */
function outboundFor(
  record: PluginRecord,
  policy: OutboundPolicy,
  deployments: readonly DeploymentConfig[],
): () => Outbound {
  let known = 0;
  let outbound: Outbound = policy;
  return () => {
    const providers = record.bag?.providers;
    // Providers are only ever added, until startup is over.
    if (providers === undefined || providers.size === known) return outbound;
    known = providers.size;
    const own = deployments.filter(({ provider, apiBase }) => apiBase !== null && providers.has(provider));
    outbound = policy.trusting(own.flatMap(({ apiBase }) => apiBase ?? []));
    return outbound;
  };
}

/** The store of whatever generation is current when a call is made. */
function currentStorage(pipeline: () => Pipeline): Storage {
  return {
    get: (key) => pipeline().storage.get(key),
    set: (key, value, options) => pipeline().storage.set(key, value, options),
    delete: (key) => pipeline().storage.delete(key),
    increment: (key, by, options) => pipeline().storage.increment(key, by, options),
    compareAndSet: (key, expected, value, options) =>
      pipeline().storage.compareAndSet(key, expected, value, options),
    list: (prefix) => pipeline().storage.list(prefix),
  };
}

function models(options: ContextFactoryOptions): PluginModels {
  return Object.freeze({ list: () => options.models() });
}

function tools(
  { pipeline, containment, onToolsChanged }: ContextFactoryOptions,
  signal: AbortSignal,
): PluginTools {
  return Object.freeze({
    list: () => pipeline().tools.list(null),
    call: (name: string, args: Readonly<Record<string, unknown>> = {}) => {
      const request = containment.current()?.request ?? null;
      const id = request?.id ?? crypto.randomUUID();
      return pipeline().tools.call(name, args, { id, identity: null, signal }, request);
    },
    changed: () => onToolsChanged(),
  });
}
