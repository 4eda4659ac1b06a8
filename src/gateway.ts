import type { Logger } from 'winston';
import { createContextFactory } from './composition/plugin-context.ts';
import { PluginHost } from './composition/plugin-host.ts';
import type { GatewayConfig } from './config/types.ts';
import { Containment } from './containment/containment.ts';
import { createDataPlane } from './data-plane/data-plane.ts';
import { installHostModule } from './discovery/host-module.ts';
import { toError } from './errors.ts';
import { createHttpServer } from './http/server.ts';
import type { PluginAbortError } from './lifecycle/abort.ts';
import { createOutboundPolicy } from './net/outbound-policy.ts';
import { createPipelineCompiler } from './pipeline/compile.ts';
import { ExportQueue } from './pipeline/exporters.ts';
import { toStorage } from './storage/backend-storage.ts';
import { namespaced } from './storage/namespaced.ts';
import { openSqliteStore } from './storage/sqlite-store.ts';
import { createPluginLogger } from './telemetry/logger.ts';
import { createMetrics } from './telemetry/metrics.ts';

/** A gateway that can be started once. */
export interface Gateway {
  /**
   * Listens, loads and starts the plugins.
   *
   * @throws ConfigError `config_invalid`, PluginDependencyError `plugin_dependency` (both: exit code 78);
   * PluginAbortError `plugin_error` (70). Everything that had been started is stopped again.
   */
  start(): Promise<{ readonly port: number }>;
  /** Drains, stops the plugins in reverse order, closes everything. Never rejects; further calls wait for the first. */
  stop(): Promise<void>;
  /**
   * Judges an error that nothing caught. True: it was blamed on a plugin and counted. False: it is the gateway's own,
   * and the process must not go on.
   */
  contain(thrown: unknown): boolean;
}

export interface GatewayOptions {
  readonly log: Logger;
  /** A plugin with failure mode `abort` failed at run time: the caller stops the gateway and exits with 70. */
  readonly onAbort: (error: PluginAbortError) => void;
}

/**
 * The composition root: makes every stage and gives each what it needs.
 *
 * @example
 * ```ts
 * const gateway = createGateway(config, { log, onAbort: () => gateway.stop() });
 * const { port } = await gateway.start();
 * ```
 */
export function createGateway(config: GatewayConfig, { log, onAbort }: GatewayOptions): Gateway {
  const containment = new Containment();
  const metrics = createMetrics();
  const exports = new ExportQueue(containment);
  const outbound = createOutboundPolicy(config.outbound);
  const store = openSqliteStore({ dir: config.dataDir, clock: Date });
  const { deployments, routing } = config;
  const dataPlane = createDataPlane({ deployments, routing, bodyLimit: config.server.bodyLimit, log });
  const host: PluginHost = new PluginHost({
    config,
    log,
    containment,
    exports,
    ledger: metrics.ledger,
    storage: namespaced(store, 'quarantine'),
    gatewayPaths: ['/healthz', '/readyz', '/metrics', ...dataPlane.paths],
    compile: createPipelineCompiler({ containment, exports, embedded: store, adaptBackend: toStorage }),
    createContext: createContextFactory({
      config,
      containment,
      outbound,
      pipeline: () => host.pipeline,
      models: () => dataPlane.models(),
      pluginLogger: (plugin) => createPluginLogger(log, plugin, () => requestFields(containment)),
      pluginMetrics: (plugin) => metrics.forPlugin(plugin),
    }),
    onAbort,
  });
  let status: 'starting' | 'ready' | 'draining' = 'starting';
  const http = createHttpServer({
    server: config.server,
    adminKey: config.admin.key,
    debug: config.debug,
    pipeline: () => (status === 'starting' ? null : host.pipeline),
    dataPlane,
    plugins: {
      list: () => host.list(),
      get: (name) => host.get(name),
      release: (name) => host.release(name),
      quarantine: (name, cause) => host.quarantine(name, cause),
      readiness: async () => ({ status, plugins: await host.health() }),
    },
    metrics: () => metrics.render(),
    log,
  });
  metrics.observeHttp(http.stats);
  metrics.observePlugins(() => host.list().plugins);

  const close = async (): Promise<void> => {
    await host.stop();
    await dataPlane.close();
    await outbound.close();
    store.close();
  };
  const start = async (): Promise<{ readonly port: number }> => {
    const uninstall = installHostModule();
    try {
      const { port } = await http.listen();
      log.info('listening', { event: 'listening', host: config.server.host, port });
      await host.load();
      await host.start();
      status = 'ready';
      log.info('ready', {
        event: 'ready',
        host: config.server.host,
        port,
        plugins: host.list().order.length,
      });
      return { port };
    } catch (error) {
      uninstall();
      await http.drain(0);
      await close();
      throw error;
    }
  };
  let started: Promise<{ readonly port: number }> | null = null;
  let stopped: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    await started?.catch(() => undefined);
    status = 'draining';
    log.info('draining', { event: 'draining', timeoutMs: config.server.drainTimeoutMs });
    const { cut } = await http.drain(config.server.drainTimeoutMs);
    if (cut > 0) log.warn('requests were cut at the end of the drain', { event: 'drain_cut', cut });
    await close();
    log.info('stopped', { event: 'stopped' });
  };

  return {
    start() {
      started ??= start();
      return started;
    },
    stop() {
      stopped ??= stop();
      return stopped;
    },
    contain(thrown) {
      if (containment.blame(thrown)) return true;
      log.error('an error that no plugin can be blamed for', { event: 'uncaught', error: toError(thrown) });
      return false;
    },
  };
}

function requestFields(containment: Containment): Readonly<Record<string, string>> {
  const requestId = containment.current()?.requestId;
  return requestId == null ? {} : { requestId };
}
