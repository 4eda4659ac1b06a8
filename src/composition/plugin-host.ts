import type { Logger } from 'winston';
import type { GatewayConfig } from '../config/types.ts';
import type { Containment } from '../containment/containment.ts';
import type { Owner } from '../containment/owner.ts';
import { GatewayError } from '../errors.ts';
import type { PluginAbortError } from '../lifecycle/abort.ts';
import { checkHealth } from '../lifecycle/health.ts';
import { QuarantineStore, type StoredQuarantine } from '../lifecycle/quarantine-store.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import { PluginRegistry } from '../lifecycle/registry.ts';
import { outline, placeholder } from '../lifecycle/silhouette.ts';
import { Starter } from '../lifecycle/start.ts';
import { stopAll } from '../lifecycle/stop.ts';
import { Supervisor } from '../lifecycle/supervisor.ts';
import { type PluginView, toView } from '../lifecycle/view.ts';
import type { PipelineCompiler } from '../pipeline/compile.ts';
import type { ExportQueue } from '../pipeline/exporters.ts';
import { toMembers } from '../pipeline/members.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { PluginContext } from '../plugin-api/context.ts';
import type { Storage } from '../plugin-api/storage.ts';
import { createNameTable } from '../registrar/name-table.ts';
import { createPluginRoutes } from '../registrar/plugin-routes.ts';
import { createRegistrar } from '../registrar/registrar.ts';
import type { PluginLedger } from '../telemetry/plugin-ledger.ts';
import type { Watchdog } from '../watchdog/watchdog.ts';
import type { ImportGuard } from './admit.ts';
import { loadHeld, loadPlugins } from './plugin-loader.ts';
import { pluginWarnings } from './plugin-warnings.ts';
import { type Culprit, readTombstones } from './tombstones.ts';

/** Longest wait for one plugin's `healthCheck`, unless calls into plugins may take even less. */
const HEALTH_TIMEOUT_MS = 5000;

export interface PluginHostOptions {
  readonly config: GatewayConfig;
  readonly log: Logger;
  readonly containment: Containment;
  readonly compile: PipelineCompiler;
  readonly exports: ExportQueue;
  readonly ledger: PluginLedger;
  /** Where sticky quarantines are kept. */
  readonly storage: Storage;
  /** Express patterns that the gateway serves itself. */
  readonly gatewayPaths: readonly string[];
  readonly createContext: (record: PluginRecord, signal: AbortSignal) => PluginContext;
  readonly onAbort: (error: PluginAbortError) => void;
  readonly watchdog: Watchdog;
  /** Folder that the watchdog leaves tombstones in. */
  readonly tombstoneDir: string;
  /** Told of plugins that are quarantined because they held up an earlier process. */
  readonly onCulprit: (culprit: Culprit) => void;
  /** Told after the pipeline has been replaced. */
  readonly onSwap: () => void;
  /** Aborted when the gateway is stopped, which may be before its plugins have started. */
  readonly stopping: AbortSignal;
}

/**
 * Wires the stages of the plugin host together, and holds the one pointer to the current pipeline. What a stage
 * decides is written in that stage.
 */
export class PluginHost {
  readonly #options: PluginHostOptions;
  readonly #registry: PluginRegistry;
  readonly #starter: Starter;
  readonly #supervisor: Supervisor;
  readonly #quarantines: QuarantineStore;
  readonly #names = createNameTable();
  readonly #routes: ReturnType<typeof createPluginRoutes>;
  #pipeline: Pipeline;

  constructor(options: PluginHostOptions) {
    const { config, log, containment, storage, createContext, onAbort, stopping } = options;
    const release = (plugin: string): void => this.#release(plugin);
    this.#options = options;
    this.#routes = createPluginRoutes(options.gatewayPaths);
    this.#registry = new PluginRegistry(log);
    this.#quarantines = new QuarantineStore(storage, log);
    this.#starter = new Starter({
      registry: this.#registry,
      containment,
      startupTimeoutMs: config.plugins.startupTimeoutMs,
      createContext,
      createRegistrar: (record, bag) =>
        createRegistrar({
          plugin: record.name,
          declared: record.metadata?.capabilities ?? null,
          allowed: config.plugins.allowedCapabilities,
          bag,
          claimRoutes: (method, paths) => this.#routes.claim(record.name, method, paths),
          names: this.#names,
        }),
      release,
      stopping,
    });
    this.#supervisor = new Supervisor({
      registry: this.#registry,
      starter: this.#starter,
      store: this.#quarantines,
      cooldownMs: config.plugins.cooldownMs,
      log,
      now: Date.now,
      onAbort,
      release,
      load: (record) => loadHeld(record, config, this.#importGuard([])),
    });
    this.#pipeline = options.compile([]);
    this.#registry.onTransition((record) => {
      this.#introduce(record);
      if (record.state !== 'stopped') this.#recompile();
    });
  }

  /** The current generation. A request keeps the one that it began with. */
  get pipeline(): Pipeline {
    return this.#pipeline;
  }

  /**
   * Everything before the first `startup`: discovery, policy, import, order.
   *
   * @throws PluginDependencyError, PluginAbortError
   */
  async load(): Promise<void> {
    const { config, containment, ledger, log, tombstoneDir, onCulprit } = this.#options;
    const store = this.#quarantines;
    for (const culprit of await readTombstones(tombstoneDir, { store, log })) onCulprit(culprit);
    await loadPlugins({
      config,
      registry: this.#registry,
      guard: this.#importGuard(await store.held()),
      onHeld: (record, quarantine) => this.#restore(record, quarantine),
      createOwner: (identity, record) => {
        const owner: Owner = {
          ...identity,
          callTimeoutMs: config.plugins.callTimeoutMs,
          counters: (phase) => ledger.phase(identity.name, phase),
          fail: (failure) => this.#supervisor.onFailure(record(), failure),
        };
        containment.adopt(owner);
        return owner;
      },
      onFailed: (record, error) => this.#starter.failStartup(record, error),
    });
    for (const warning of pluginWarnings(this.#registry, config)) {
      log.warn(warning, { event: 'plugin_warning' });
    }
  }

  /** @throws PluginAbortError; those that had started have been stopped again */
  async start(): Promise<void> {
    try {
      await this.#restoreQuarantines();
      await this.#starter.startAll();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Lets exporters send what is left, then stops every plugin in reverse order. Never rejects. */
  async stop(): Promise<void> {
    const { config, containment, exports, log } = this.#options;
    await exports.flush();
    const { shutdownTimeoutMs } = config.plugins;
    await stopAll({ registry: this.#registry, containment, shutdownTimeoutMs, log });
  }

  list(): { readonly order: readonly string[]; readonly plugins: readonly PluginView[] } {
    const now = Date.now();
    return {
      order: this.#registry.order,
      plugins: this.#registry.records.map((record) => toView(record, now)),
    };
  }

  get(name: string): PluginView | null {
    const record = this.#registry.get(name);
    return record === undefined ? null : toView(record, Date.now());
  }

  async release(name: string): Promise<PluginView> {
    const record = this.#require(name);
    await this.#options.watchdog.patiently(() => this.#supervisor.release(record));
    return toView(record, Date.now());
  }

  async quarantine(name: string, cause: string): Promise<PluginView> {
    const record = this.#require(name);
    await this.#supervisor.quarantine(record, cause);
    return toView(record, Date.now());
  }

  /** State and health of every plugin, by name. */
  async health(): Promise<Readonly<Record<string, { state: PluginRecord['state']; health: string | null }>>> {
    const { config, containment } = this.#options;
    const timeoutMs = Math.min(HEALTH_TIMEOUT_MS, config.plugins.callTimeoutMs);
    await checkHealth({ registry: this.#registry, containment, timeoutMs });
    const entries = this.#registry.records
      .filter((record) => this.#registry.get(record.name) === record)
      .map(
        (record) => [record.name, { state: record.state, health: record.health?.status ?? null }] as const,
      );
    return Object.fromEntries(entries);
  }

  /** Sticky quarantines of an earlier run: the plugin is not started, and what it guarded stays shut. */
  async #restoreQuarantines(): Promise<void> {
    for (const record of this.#registry.inOrder()) {
      if (record.state === 'quarantined') continue;
      const stored = await this.#quarantines.load(record.name);
      if (stored !== null) this.#restore(record, stored);
    }
  }

  #restore(record: PluginRecord, { since, cause, code, silhouette }: StoredQuarantine): void {
    record.quarantine = { since, until: null, cause };
    if (silhouette !== null) {
      record.bag = placeholder(silhouette);
      for (const { method, path } of record.bag.routes) this.#routes.claim(record.name, method, [path]);
    }
    this.#registry.transition(record, 'quarantine', { code, message: cause });
  }

  #importGuard(held: ImportGuard['held']): ImportGuard {
    const { watchdog } = this.#options;
    return {
      held,
      watch: (name, { specifier, isFile, entry, root }, load) =>
        watchdog.duringImport({ name, specifier, root: isFile ? entry : root }, load),
    };
  }

  /** Makes a plugin known to the watchdog, and what has to stay shut if it is left out of the next start. */
  #introduce({ name, candidate, owner, bag }: PluginRecord): void {
    const { containment, watchdog } = this.#options;
    const id = containment.spotlight.enroll(owner);
    watchdog.suspect({ id, name, specifier: candidate.specifier, root: owner.root });
    if (bag !== null) watchdog.outline(name, outline(bag));
  }

  #recompile(): void {
    const records = [...this.#registry.inOrder(), ...this.#outsideOrder()];
    this.#pipeline = this.#options.compile(toMembers(records, (record) => this.#supervisor.gate(record)));
    this.#options.onSwap();
  }

  /** Plugins that never got a place, but may have to keep something shut. */
  #outsideOrder(): readonly PluginRecord[] {
    const ordered = new Set(this.#registry.order);
    return this.#registry.records.filter((record) => !ordered.has(record.name));
  }

  #release(plugin: string): void {
    this.#routes.release(plugin);
    this.#names.release(plugin);
  }

  #require(name: string): PluginRecord {
    const record = this.#registry.get(name);
    if (record !== undefined) return record;
    throw new GatewayError('not_found', `There is no plugin "${name}"`);
  }
}
