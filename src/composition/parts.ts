import { join } from 'node:path';
import type { Logger } from 'winston';
import type { GatewayConfig } from '../config/types.ts';
import { Containment } from '../containment/containment.ts';
import { createDataPlane, type DataPlane } from '../data-plane/data-plane.ts';
import { toError } from '../errors.ts';
import { createHttpServer } from '../http/server.ts';
import type { HttpServer } from '../http/types.ts';
import { createTierLoader } from '../isolation/tier-loader.ts';
import type { PluginAbortError } from '../lifecycle/abort.ts';
import { createMcpEndpoint, type McpEndpoint } from '../mcp/endpoint.ts';
import { createOutboundPolicy, type OutboundPolicy } from '../net/outbound-policy.ts';
import { createPipelineCompiler } from '../pipeline/compile.ts';
import { ExportQueue } from '../pipeline/exporters.ts';
import { toStorage } from '../storage/backend-storage.ts';
import { namespaced } from '../storage/namespaced.ts';
import { type EmbeddedStore, openSqliteStore } from '../storage/sqlite-store.ts';
import type { StepTimer } from '../telemetry/boot-timer.ts';
import { createPluginLogger } from '../telemetry/logger.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics.ts';
import { Watchdog } from '../watchdog/watchdog.ts';
import { MCP_PATH } from '../wire/dialect.ts';
import type { FolderWatcher } from './folder-watcher.ts';
import type { OperatorAction } from './operator-action.ts';
import { createContextFactory } from './plugin-context.ts';
import { PluginHost } from './plugin-host.ts';
import { reloadOnChange } from './reload-on-change.ts';

/** Where a gateway is in its own life. */
export type GatewayStatus = 'starting' | 'ready' | 'draining';

/** What a gateway is made of. */
export interface GatewayParts {
  readonly containment: Containment;
  readonly dataPlane: DataPlane;
  readonly host: PluginHost;
  readonly http: HttpServer;
  readonly mcp: McpEndpoint;
  readonly outbound: OutboundPolicy;
  readonly store: EmbeddedStore;
  readonly watchdog: Watchdog;
  /** `null`: `LLMROUTER_PLUGINS_WATCH` is off. */
  readonly watcher: FolderWatcher | null;
}

export interface PartsOptions {
  readonly config: GatewayConfig;
  readonly log: Logger;
  readonly status: () => GatewayStatus;
  /** Resolves when the status is no longer `starting`. */
  readonly started: Promise<void>;
  readonly onAbort: (error: PluginAbortError) => void;
  /** Told after an operator's action has taken effect here. */
  readonly onOperatorAction: (action: OperatorAction) => void;
  /** Aborted when the gateway is stopped. */
  readonly stopping: AbortSignal;
  /** Times the steps of the start. */
  readonly timer: StepTimer;
}

/**
 * Makes every stage and gives each what it needs. Nothing runs yet but the embedded store, which is opened.
 *
 * @throws ConfigError `config_invalid` when the data folder or an outbound exception is unusable
 */
export function createParts(options: PartsOptions): GatewayParts {
  const { config, log } = options;
  const { deployments, routing, server } = config;
  const containment = new Containment();
  const tombstoneDir = join(config.dataDir, 'tombstones');
  const watchdog = createWatchdog(options, containment, tombstoneDir);
  const metrics = createMetrics();
  const outbound = createOutboundPolicy(config.outbound);
  const dataPlane = createDataPlane({
    deployments,
    routing,
    bodyLimit: server.bodyLimit,
    toolLimits: config.tools,
    log,
    stats: metrics.calls,
  });
  const mcp = createMcpEndpoint({
    bodyLimit: server.bodyLimit,
    listenHost: server.host,
    sessions: server.workers === 1,
    log,
  });
  const store = openSqliteStore({ dir: config.dataDir, clock: Date });
  const host: PluginHost = createHost({
    ...options,
    settled: async () => void (await Promise.all([http.settled(), mcp.settled()])),
    containment,
    dataPlane,
    mcp,
    metrics,
    outbound,
    store,
    watchdog,
    tombstoneDir,
  });
  const http: HttpServer = createHttp(options, { dataPlane, host, mcp, metrics });
  metrics.observeHttp(http.stats);
  metrics.observePlugins(() => host.list().plugins);
  const { watch, dirs } = config.plugins;
  const watcher = watch ? reloadOnChange(host, { dirs, cwd: config.cwd, log }) : null;
  return { containment, dataPlane, host, http, mcp, outbound, store, watchdog, watcher };
}

function createWatchdog({ config, log }: PartsOptions, { spotlight }: Containment, dir: string): Watchdog {
  const { stallTimeoutMs, startupTimeoutMs, shutdownTimeoutMs } = config.plugins;
  return new Watchdog({
    spotlight: spotlight.memory,
    dir,
    stallMs: stallTimeoutMs,
    patienceMs: Math.max(startupTimeoutMs, shutdownTimeoutMs),
    onFailure: (error) =>
      log.error('the watchdog failed: a plugin that loops will not be noticed', {
        event: 'watchdog_failed',
        error: toError(error),
      }),
  });
}

type HostParts = PartsOptions &
  Omit<GatewayParts, 'host' | 'http' | 'watcher'> & {
    readonly metrics: Metrics;
    readonly tombstoneDir: string;
    readonly settled: () => Promise<void>;
  };

function createHost(parts: HostParts): PluginHost {
  const { config, log, containment, dataPlane, mcp, metrics, outbound, store, watchdog, tombstoneDir } =
    parts;
  const { onAbort, onOperatorAction, stopping, timer } = parts;
  const exports = new ExportQueue(containment);
  const host: PluginHost = new PluginHost({
    config,
    log,
    containment,
    exports,
    ledger: metrics.ledger,
    upgrades: metrics.upgrades,
    settled: parts.settled,
    onRolledBack: (plugin, cause) => onOperatorAction({ kind: 'giveUp', plugin, cause }),
    storage: namespaced(store, 'quarantine'),
    sharedStorage: () => namespaced(host.pipeline.storage, 'quarantine'),
    gatewayPaths: ['/healthz', '/readyz', '/metrics', MCP_PATH, ...dataPlane.paths],
    compile: createPipelineCompiler({ containment, exports, embedded: store, adaptBackend: toStorage }),
    createContext: createContextFactory({
      config,
      containment,
      outbound,
      pipeline: () => host.pipeline,
      models: () => dataPlane.models(),
      onToolsChanged: () => mcp.toolsChanged(),
      pluginLogger: (plugin) => createPluginLogger(log, plugin, () => requestFields(containment)),
      pluginMetrics: (plugin) => metrics.forPlugin(plugin),
    }),
    loader: createTierLoader({ config, log, containment }),
    onAbort,
    watchdog,
    tombstoneDir,
    onSwap: () => mcp.toolsChanged(),
    // The processes that go on are told, so that they do not meet the same end.
    onCulprit: (culprit) => onOperatorAction({ kind: 'quarantine', ...culprit }),
    stopping,
    timer,
  });
  return host;
}

function createHttp(
  { config, log, status, started, onOperatorAction }: PartsOptions,
  { dataPlane, host, mcp, metrics }: Pick<GatewayParts, 'dataPlane' | 'host' | 'mcp'> & { metrics: Metrics },
): HttpServer {
  return createHttpServer({
    server: config.server,
    adminKey: config.admin.key,
    debug: config.debug,
    pipeline: () => (status() === 'ready' ? host.pipeline : null),
    started,
    dataPlane,
    mcp,
    plugins: {
      list: () => host.list(),
      get: (name) => host.get(name),
      async release(plugin) {
        const view = await host.release(plugin);
        onOperatorAction({ kind: 'release', plugin });
        return view;
      },
      async quarantine(plugin, cause) {
        const view = await host.quarantine(plugin, cause);
        onOperatorAction({ kind: 'quarantine', plugin, cause });
        return view;
      },
      async reload(plugin) {
        const report = await host.reload(
          plugin === null ? { kind: 'all' } : { kind: 'plugin', name: plugin },
        );
        onOperatorAction({ kind: 'reload', plugin });
        return report;
      },
      readiness: async () => ({ status: status(), plugins: await host.health() }),
    },
    metrics: () => metrics.render(),
    log,
  });
}

function requestFields(containment: Containment): Readonly<Record<string, string>> {
  const request = containment.current()?.request ?? null;
  return request === null ? {} : { requestId: request.id };
}
