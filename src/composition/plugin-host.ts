import type { Logger } from 'winston';
import type { GatewayConfig } from '../config/types.ts';
import type { Containment } from '../containment/containment.ts';
import type { Owner } from '../containment/owner.ts';
import { Snapshots } from '../discovery/snapshots.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { GatewayError, toError } from '../errors.ts';
import type { PluginLoader } from '../isolation/tier-loader.ts';
import type { PluginAbortError } from '../lifecycle/abort.ts';
import { checkHealth } from '../lifecycle/health.ts';
import { QuarantineBoard } from '../lifecycle/quarantine-board.ts';
import { QuarantineStore, type StoredQuarantine } from '../lifecycle/quarantine-store.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import { PluginRegistry } from '../lifecycle/registry.ts';
import { outline, placeholder } from '../lifecycle/silhouette.ts';
import { Starter } from '../lifecycle/start.ts';
import { stopAll } from '../lifecycle/stop.ts';
import { Supervisor } from '../lifecycle/supervisor.ts';
import { type PluginView, type ReloadReport, toView } from '../lifecycle/view.ts';
import type { PipelineCompiler } from '../pipeline/compile.ts';
import type { ExportQueue } from '../pipeline/exporters.ts';
import { toMembers } from '../pipeline/members.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { PluginContext } from '../plugin-api/context.ts';
import type { Storage } from '../plugin-api/storage.ts';
import type { StepTimer } from '../telemetry/boot-timer.ts';
import type { PluginLedger } from '../telemetry/plugin-ledger.ts';
import type { UpgradeCounts } from '../telemetry/upgrade-counts.ts';
import type { Watchdog } from '../watchdog/watchdog.ts';
import type { ImportGuard, PluginVersion } from './admit.ts';
import { Claims } from './claims.ts';
import type { Staged } from './next-generation.ts';
import { type LoaderOptions, loadHeld, loadPlugins } from './plugin-loader.ts';
import { realLockfile } from './plugin-lock.ts';
import { pluginWarnings } from './plugin-warnings.ts';
import { QuarantineFollower } from './quarantine-follower.ts';
import type { ReloadScope } from './reload-plan.ts';
import { Reloader } from './reloader.ts';
import { Retirement } from './retirement.ts';
import { type Culprit, readTombstones } from './tombstones.ts';
import { Turns } from './turns.ts';

/** Longest wait for one plugin's `healthCheck`, unless calls into plugins may take even less. */
const HEALTH_TIMEOUT_MS = 5000;

/** What is quarantined in one replica takes so long at most to be so in all. */
const FOLLOW_INTERVAL_MS = 2000;

export interface PluginHostOptions {
  readonly config: GatewayConfig;
  readonly log: Logger;
  readonly containment: Containment;
  readonly compile: PipelineCompiler;
  readonly exports: ExportQueue;
  readonly ledger: PluginLedger;
  /** Where sticky quarantines are kept. */
  readonly storage: Storage;
  /** The same in the store of the current pipeline, which replicas may share. */
  readonly sharedStorage: () => Storage;
  /** Express patterns that the gateway serves itself. */
  readonly gatewayPaths: readonly string[];
  readonly createContext: (record: PluginRecord, signal: AbortSignal) => PluginContext;
  readonly onAbort: (error: PluginAbortError) => void;
  /** Imports plugins, in this process or in ones of their own. */
  readonly loader: PluginLoader;
  readonly watchdog: Watchdog;
  /** Folder that the watchdog leaves tombstones in. */
  readonly tombstoneDir: string;
  /** Told of plugins that are quarantined because they held up an earlier process. */
  readonly onCulprit: (culprit: Culprit) => void;
  /** Counts reloads. */
  readonly upgrades: UpgradeCounts;
  /** Resolves when every request that is under way at the call has ended. */
  readonly settled: () => Promise<void>;
  /** Told of a plugin whose new version failed on probation, and was replaced by the one before it. */
  readonly onRolledBack: (plugin: string, cause: string) => void;
  /** Told after the pipeline has been replaced. */
  readonly onSwap: () => void;
  /** Aborted when the gateway is stopped, which may be before its plugins have started. */
  readonly stopping: AbortSignal;
  /** Times the steps of the start. */
  readonly timer: StepTimer;
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
  readonly #follower: QuarantineFollower;
  readonly #snapshots: Snapshots;
  readonly #retirement: Retirement;
  readonly #reloader: Reloader;
  readonly #turns = new Turns();
  readonly #begun = Promise.withResolvers<void>();
  #claims: Claims;
  #pipeline: Pipeline;

  constructor(options: PluginHostOptions) {
    const { config, log, storage, onAbort } = options;
    this.#options = options;
    this.#claims = new Claims(options.gatewayPaths);
    this.#registry = new PluginRegistry(log);
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
    this.#starter = this.#createStarter(this.#registry, () => this.#claims);
    this.#supervisor = new Supervisor({
      registry: this.#registry,
      starter: this.#starter,
      store: this.#quarantines,
      cooldownMs: config.plugins.cooldownMs,
      log,
      now: Date.now,
      onAbort,
      release: (plugin) => this.#claims.release(plugin),
      load: (record) => loadHeld(record, config, this.#importGuard([])),
      rollBack: (record, cause) => this.#rollBack(record, cause),
    });
    this.#retirement = new Retirement({
      ...options,
      registry: this.#registry,
      snapshots: this.#snapshots,
      shutdownTimeoutMs: config.plugins.shutdownTimeoutMs,
    });
    this.#reloader = this.#createReloader();
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
      guard: this.#importGuard(await store.held()),
      onHeld: (record, quarantine) => this.#restore(this.#current, record, quarantine),
      createOwner: this.#createOwner,
      onFailed: (record, error) => this.#starter.failStartup(record, error),
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
      await this.#options.timer.step('startup', () => this.#starter.startAll());
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
      await this.#retirement.over();
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
    return this.#turns.alone(() => this.#reload(scope));
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
      if (stored !== null) this.#restore(this.#current, record, stored);
    }
  }

  get #current(): Pick<Staged, 'registry' | 'claims'> {
    return { registry: this.#registry, claims: this.#claims };
  }

  #restore(
    { registry, claims }: Pick<Staged, 'registry' | 'claims'>,
    record: PluginRecord,
    { since, cause, code, silhouette }: StoredQuarantine,
  ): void {
    record.quarantine = { since, until: null, cause };
    if (silhouette !== null) {
      record.bag = placeholder(silhouette);
      claims.claim(record);
    }
    registry.transition(record, 'quarantine', { code, message: cause });
  }

  #createStarter(registry: PluginRegistry, claims: () => Claims): Starter {
    const { config, containment, createContext, stopping, timer } = this.#options;
    return new Starter({
      registry,
      containment,
      startupTimeoutMs: config.plugins.startupTimeoutMs,
      createContext,
      createRegistrar: (record, bag) => claims().registrar(record, bag, config.plugins),
      release: (plugin) => claims().release(plugin),
      stopping,
      timer,
    });
  }

  #createReloader(): Reloader {
    return new Reloader({
      ...this.#options,
      registry: this.#registry,
      snapshots: this.#snapshots,
      quarantines: this.#quarantines,
      healthTimeoutMs: this.#healthTimeoutMs,
      now: Date.now,
      createOwner: this.#createOwner,
      watchImport: this.#watchImport,
      loadCopy: this.#load,
      isAside: this.#options.loader.isAside,
      restore: (staged, record, stored) => this.#restore(staged, record, stored),
      stage: (registry) => this.#stage(registry),
      swap: (staged) => this.#swap(staged),
      discard: (staged, records) => this.#retirement.discard(staged.registry, records),
      retire: (records) => this.#retirement.retire(records),
    });
  }

  /** An empty generation. What happens in it shows nowhere but to the watchdog. */
  #stage(registry: PluginRegistry): Staged {
    const claims = new Claims(this.#options.gatewayPaths);
    registry.onTransition((record) => this.#introduce(record));
    return { registry, claims, starter: this.#createStarter(registry, () => claims) };
  }

  #swap({ registry, claims }: Staged): void {
    this.#registry.replace(registry);
    this.#claims = claims;
    this.#recompile();
    for (const record of registry.records) this.#retirement.keepUntilProven(record);
  }

  async #reload(scope: ReloadScope): Promise<ReloadReport> {
    const { upgrades, watchdog } = this.#options;
    try {
      const report = await watchdog.patiently(() => this.#reloader.run(scope));
      if (report.changed.length > 0) upgrades.reloads.ok++;
      return report;
    } catch (error) {
      upgrades.reloads.failed++;
      throw error;
    }
  }

  #rollBack(record: PluginRecord, cause: string): Promise<void> {
    return this.#turns.alone(async () => {
      // Whoever came before in the queue has settled it in another way.
      if (!this.#registry.has(record) || record.state !== 'quarantined') return;
      const { log, upgrades, onRolledBack } = this.#options;
      const from = record.metadata?.version;
      await this.#reload({ kind: 'previous', record, cause });
      const to = this.#registry.get(record.name)?.metadata?.version;
      upgrades.rolledBack(record.name);
      const message = 'a new version failed on probation, and the version before it is back';
      log.error(message, { event: 'plugin_rolled_back', plugin: record.name, from, to, cause });
      onRolledBack(record.name, cause);
    });
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

  #importGuard(held: ImportGuard['held']): ImportGuard {
    return {
      held,
      keep: (candidate) => this.#keep(candidate),
      watch: this.#watchImport,
      load: this.#load,
      isAside: this.#options.loader.isAside,
    };
  }

  readonly #load: ImportGuard['load'] = (candidate) =>
    this.#options.loader.load(candidate, this.#snapshots.sourceOf(candidate));

  readonly #watchImport: ImportGuard['watch'] = (name, { specifier, isFile, entry, root }, load) =>
    this.#options.watchdog.duringImport({ name, specifier, root: isFile ? entry : root }, load);

  /** The first version runs where it lies. It can come back only from a copy, which costs time if nothing reloads. */
  async #keep(candidate: PluginCandidate): Promise<PluginVersion> {
    const { admin, plugins } = this.#options.config;
    if (admin.key === null && !plugins.watch) return { imported: candidate, kept: null };
    try {
      return { imported: candidate, kept: await this.#snapshots.take(candidate) };
    } catch (error) {
      this.#options.log.warn('a plugin cannot be kept: after a reload this version could not come back', {
        event: 'plugin_not_kept',
        specifier: candidate.specifier,
        error: toError(error),
      });
      return { imported: candidate, kept: null };
    }
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
