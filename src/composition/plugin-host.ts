import type { Owner } from '../containment/owner.ts';
import { Snapshots } from '../discovery/snapshots.ts';
import { GatewayError } from '../errors.ts';
import type { PluginAbortError } from '../lifecycle/abort.ts';
import { checkHealth } from '../lifecycle/health.ts';
import { QuarantineBoard } from '../lifecycle/quarantine-board.ts';
import { QuarantineStore } from '../lifecycle/quarantine-store.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import { PluginRegistry } from '../lifecycle/registry.ts';
import { outline } from '../lifecycle/silhouette.ts';
import { stopAll } from '../lifecycle/stop.ts';
import { Supervisor } from '../lifecycle/supervisor.ts';
import { type PluginView, type ReloadReport, toView } from '../lifecycle/view.ts';
import type { PipelineCompiler } from '../pipeline/compile.ts';
import { toMembers } from '../pipeline/members.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { Storage } from '../plugin-api/storage.ts';
import type { PluginLedger } from '../telemetry/plugin-ledger.ts';
import { Generation, type GenerationOptions } from './generation.ts';
import { PluginImports, type PluginImportsOptions } from './plugin-imports.ts';
import { type LoaderOptions, loadHeld, loadPlugins } from './plugin-loader.ts';
import { realLockfile } from './plugin-lock.ts';
import { pluginWarnings } from './plugin-warnings.ts';
import { QuarantineFollower } from './quarantine-follower.ts';
import type { ReloadScope } from './reload-plan.ts';
import { type Culprit, readTombstones } from './tombstones.ts';
import { Turns } from './turns.ts';
import { Upgrades, type UpgradesOptions } from './upgrades.ts';

/** Longest wait for one plugin's `healthCheck`, unless calls into plugins may take even less. */
const HEALTH_TIMEOUT_MS = 5000;

/** What is quarantined in one replica takes so long at most to be so in all. */
const FOLLOW_INTERVAL_MS = 2000;

export interface PluginHostOptions
  extends GenerationOptions,
    Omit<PluginImportsOptions, 'snapshots'>,
    Pick<UpgradesOptions, 'exports' | 'settled' | 'upgrades' | 'onRolledBack'> {
  readonly compile: PipelineCompiler;
  readonly ledger: PluginLedger;
  /** Where sticky quarantines are kept. */
  readonly storage: Storage;
  /** The same in the store of the current pipeline, which replicas may share. */
  readonly sharedStorage: () => Storage;
  readonly onAbort: (error: PluginAbortError) => void;
  /** Folder that the watchdog leaves tombstones in. */
  readonly tombstoneDir: string;
  /** Told of plugins that are quarantined because they held up an earlier process. */
  readonly onCulprit: (culprit: Culprit) => void;
  /** Told after the pipeline has been replaced. */
  readonly onSwap: () => void;
}

/**
 * Wires the stages of the plugin host together, and holds the one pointer to the current pipeline. What a stage
 * decides is written in that stage.
 */
export class PluginHost {
  readonly #options: PluginHostOptions;
  readonly #current: Generation;
  readonly #registry: PluginRegistry;
  readonly #supervisor: Supervisor;
  readonly #quarantines: QuarantineStore;
  readonly #follower: QuarantineFollower;
  readonly #snapshots: Snapshots;
  readonly #imports: PluginImports;
  readonly #upgrades: Upgrades;
  readonly #turns = new Turns();
  readonly #begun = Promise.withResolvers<void>();
  #pipeline: Pipeline;

  constructor(options: PluginHostOptions) {
    const { config, log, storage, onAbort } = options;
    this.#options = options;
    this.#registry = new PluginRegistry(log);
    this.#current = new Generation(options, this.#registry);
    const board = new QuarantineBoard({
      storage: () => (this.#registry.records.some(bringsSharedStore) ? options.sharedStorage() : null),
      keepsStore: (plugin) => keepsStore(this.#registry.get(plugin)),
    });
    this.#quarantines = new QuarantineStore({ storage, board, log });
    this.#follower = new QuarantineFollower({
      board,
      log,
      intervalMs: FOLLOW_INTERVAL_MS,
      find: (plugin) => this.#registry.get(plugin),
      quarantine: (record, cause) => this.#supervisor.quarantine(record, cause),
      release: (plugin) => this.release(plugin),
    });
    this.#snapshots = new Snapshots({ except: realLockfile(config.plugins.lockfile) });
    this.#imports = new PluginImports({ ...options, snapshots: this.#snapshots });
    this.#supervisor = new Supervisor({
      registry: this.#registry,
      starter: this.#current.starter,
      store: this.#quarantines,
      cooldownMs: config.plugins.cooldownMs,
      log,
      now: Date.now,
      onAbort,
      release: (plugin) => this.#current.claims.release(plugin),
      load: (record) => loadHeld(record, config, this.#imports.inPlace()),
      rollBack: (record, cause) => this.#turns.alone(() => this.#upgrades.rollBack(record, cause)),
    });
    this.#upgrades = this.#createUpgrades();
    this.#pipeline = options.compile([]);
    this.#registry.onTransition((record) => {
      // One that another version has replaced takes no part any more.
      if (!this.#registry.has(record)) return;
      this.#introduce(record);
      if (record.state !== 'stopped') this.#recompile();
    });
    void this.#turns.alone(() => this.#begun.promise);
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
    const { config, log, tombstoneDir, onCulprit } = this.#options;
    const store = this.#quarantines;
    for (const culprit of await readTombstones(tombstoneDir, { store, log })) onCulprit(culprit);
    await loadPlugins({
      config,
      registry: this.#registry,
      guard: this.#imports.inPlace(await store.held()),
      onHeld: (record, quarantine) => this.#current.restore(record, quarantine),
      createOwner: this.#createOwner,
      onFailed: (record, error) => this.#current.starter.failStartup(record, error),
      timer: this.#options.timer,
    });
    for (const warning of pluginWarnings(this.#registry, config)) {
      log.warn(warning, { event: 'plugin_warning' });
    }
  }

  /** @throws PluginAbortError; those that had started have been stopped again */
  async start(): Promise<void> {
    try {
      await this.#restoreQuarantines();
      await this.#options.timer.step('startup', () => this.#current.starter.startAll());
      this.#begun.resolve();
      await this.#follower.begin();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Lets exporters send what is left, then stops every plugin in reverse order. Never rejects. */
  async stop(): Promise<void> {
    this.#begun.resolve();
    await this.#follower.end();
    await this.#turns.alone(async () => {
      const { config, containment, exports, log } = this.#options;
      await this.#upgrades.over();
      await exports.flush();
      const { shutdownTimeoutMs } = config.plugins;
      await stopAll({ registry: this.#registry, containment, shutdownTimeoutMs, log });
      this.#snapshots.close();
    });
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

  release(name: string): Promise<PluginView> {
    return this.#turns.shared(async () => {
      const record = this.#require(name);
      await this.#options.watchdog.patiently(() => this.#supervisor.release(record));
      return toView(record, Date.now());
    });
  }

  /**
   * Loads plugins anew: one, whether it has changed or not; or all that have. Waits for reloads under way.
   *
   * @throws GatewayError `not_found`; ReloadFailedError `plugin_reload_failed`: nothing has changed
   */
  reload(scope: Exclude<ReloadScope, { readonly kind: 'previous' }>): Promise<ReloadReport> {
    return this.#turns.alone(() => this.#upgrades.reload(scope));
  }

  /**
   * The same as when `name` fails on probation here, as it did in another process.
   *
   * @throws GatewayError `not_found`; `conflict` when it is not on probation
   */
  async giveUp(name: string, cause: string): Promise<void> {
    await this.#supervisor.giveUp(this.#require(name), cause);
  }

  async quarantine(name: string, cause: string): Promise<PluginView> {
    const record = this.#require(name);
    await this.#supervisor.quarantine(record, cause);
    return toView(record, Date.now());
  }

  /** State and health of every plugin, by name. */
  async health(): Promise<Readonly<Record<string, { state: PluginRecord['state']; health: string | null }>>> {
    const { containment } = this.#options;
    await checkHealth({ registry: this.#registry, containment, timeoutMs: this.#healthTimeoutMs });
    const entries = this.#registry.records
      .filter((record) => this.#registry.get(record.name) === record)
      .map(
        (record) => [record.name, { state: record.state, health: record.health?.status ?? null }] as const,
      );
    return Object.fromEntries(entries);
  }

  get #healthTimeoutMs(): number {
    return Math.min(HEALTH_TIMEOUT_MS, this.#options.config.plugins.callTimeoutMs);
  }

  /** Sticky quarantines of an earlier run: the plugin is not started, and what it guarded stays shut. */
  async #restoreQuarantines(): Promise<void> {
    for (const record of this.#registry.inOrder()) {
      if (record.state === 'quarantined') continue;
      const stored = await this.#quarantines.load(record.name);
      if (stored !== null) this.#current.restore(record, stored);
    }
  }

  #createUpgrades(): Upgrades {
    return new Upgrades({
      ...this.#options,
      current: this.#current,
      snapshots: this.#snapshots,
      imports: this.#imports,
      quarantines: this.#quarantines,
      healthTimeoutMs: this.#healthTimeoutMs,
      shutdownTimeoutMs: this.#options.config.plugins.shutdownTimeoutMs,
      now: Date.now,
      createOwner: this.#createOwner,
      stage: (registry) => this.#stage(registry),
      onAdopted: () => this.#recompile(),
    });
  }

  /** An empty generation. What happens in it shows nowhere but to the watchdog. */
  #stage(registry: PluginRegistry): Generation {
    registry.onTransition((record) => this.#introduce(record));
    return new Generation(this.#options, registry);
  }

  readonly #createOwner: LoaderOptions['createOwner'] = (identity, record) => {
    const { config, containment, ledger } = this.#options;
    const owner: Owner = {
      ...identity,
      callTimeoutMs: config.plugins.callTimeoutMs,
      counters: (phase) => ledger.phase(identity.name, phase),
      fail: (failure) => this.#supervisor.onFailure(record(), failure),
    };
    containment.adopt(owner);
    return owner;
  };

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

  #require(name: string): PluginRecord {
    const record = this.#registry.get(name);
    if (record !== undefined) return record;
    throw new GatewayError('not_found', `There is no plugin "${name}"`);
  }
}

function bringsSharedStore({ bag }: PluginRecord): boolean {
  return bag?.storageBackend?.shared === true;
}

function keepsStore(record: PluginRecord | undefined): boolean {
  if (record === undefined) return false;
  const { bag, metadata } = record;
  return bag?.storageBackend != null || metadata?.capabilities?.includes('STORAGE_BACKEND') === true;
}
