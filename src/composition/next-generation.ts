import type { GatewayConfig } from '../config/types.ts';
import type { Containment } from '../containment/containment.ts';
import { GatewayError, isGatewayError, PluginDependencyError } from '../errors.ts';
import { ReloadFailedError, type ReloadFailure } from '../lifecycle/abort.ts';
import { healthOf } from '../lifecycle/health.ts';
import type { QuarantineStore } from '../lifecycle/quarantine-store.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';
import { toReason } from '../lifecycle/start.ts';
import type { PluginState } from '../lifecycle/states.ts';
import type { Generation } from './generation.ts';
import type { PluginImports } from './plugin-imports.ts';
import { type LoaderOptions, loadPlugins } from './plugin-loader.ts';
import { isSticky, type ReloadPlan, type ReloadScope } from './reload-plan.ts';
import { handOver } from './state-handover.ts';

export interface NextGenerationOptions {
  readonly config: GatewayConfig;
  readonly containment: Containment;
  readonly imports: PluginImports;
  readonly quarantines: QuarantineStore;
  /** The current generation. */
  readonly registry: PluginRegistry;
  readonly healthTimeoutMs: number;
  readonly createOwner: LoaderOptions['createOwner'];
  /** Aborted when the gateway is stopped. */
  readonly stopping: AbortSignal;
}

/** States of a plugin that takes part, or keeps shut what it should. */
const PART: ReadonlySet<PluginState> = new Set(['started', 'quarantined', 'blocked']);

/**
 * Makes one generation after the current one's example: plugins that stay are the same objects in both, all others are
 * admitted, loaded and started here. Everything that can fail in a reload fails in here.
 */
export class NextGeneration {
  readonly staged: Generation;
  readonly #options: NextGenerationOptions;
  readonly #plan: ReloadPlan;
  readonly #scope: ReloadScope;
  readonly #stickyBefore: ReadonlySet<PluginRecord>;

  constructor(options: NextGenerationOptions, staged: Generation, plan: ReloadPlan, scope: ReloadScope) {
    this.staged = staged;
    this.#options = options;
    this.#plan = plan;
    this.#scope = scope;
    this.#stickyBefore = new Set(options.registry.records.filter(isSticky));
  }

  /** The plugins that the current generation does not have, in load order. */
  get fresh(): readonly PluginRecord[] {
    return this.staged.registry.allInOrder().filter((record) => !this.#options.registry.has(record));
  }

  /**
   * Loads, starts and checks. What has been started is left to the caller, to be discarded, when this throws.
   *
   * @throws ReloadFailedError `plugin_reload_failed`; GatewayError `storage_unavailable`, `gateway_draining`
   */
  async make(): Promise<void> {
    await this.#load();
    const fresh = new Set(this.fresh);
    for (const record of this.staged.registry.records)
      if (!fresh.has(record)) this.staged.claims.claim(record);
    for (const record of this.staged.registry.inOrder())
      if (record.state === 'loaded') await this.#start(record);
    this.#refuseQuarantinedMeanwhile();
    // Before the swap: a plugin that the next restart would keep from starting is not mended.
    for (const { name, state } of fresh)
      if (state === 'started') await this.#options.quarantines.remove(name);
  }

  async #load(): Promise<void> {
    const { config, createOwner, imports } = this.#options;
    const { registry } = this.staged;
    const failed: ReloadFailure[] = [];
    try {
      await loadPlugins({
        config,
        registry,
        createOwner,
        items: this.#plan.items,
        guard: imports.fromCopies(),
        onHeld: () => undefined,
        onFailed: (record, error) => registry.transition(record, 'fail', toReason(error)),
      });
    } catch (error) {
      failed.push(toDependencyFailure(error));
    }
    const refused = registry.records.filter((record) => this.#isRefusal(record));
    failed.unshift(
      ...refused.map(({ name, reason, state }) => ({ name, ...(reason ?? unexplained(state)) })),
    );
    if (failed.length > 0) throw new ReloadFailedError(failed);
  }

  /** A plugin that took part, or that the reload is about, has to be admitted; the others may be refused as before. */
  #isRefusal(record: PluginRecord): boolean {
    const { registry } = this.#options;
    if (registry.has(record)) return false;
    if (record.state === 'failed') return true;
    if (record.state !== 'rejected' && record.state !== 'inactive') return false;
    const before = registry.records.find(
      ({ candidate }) => candidate.specifier === record.candidate.specifier,
    );
    return this.#scope.kind === 'plugin' || (before !== undefined && PART.has(before.state));
  }

  async #start(record: PluginRecord): Promise<void> {
    const { quarantines, stopping } = this.#options;
    if (stopping.aborted) throw new GatewayError('gateway_draining', 'The gateway is stopping');
    // One that was quarantined, taken away and put back is quarantined still.
    const isBack = this.#scope.kind !== 'plugin' && this.#plan.added.has(record.candidate);
    const stored = isBack ? await quarantines.load(record.name) : null;
    if (stored !== null) {
      this.staged.restore(record, stored);
      return;
    }
    try {
      await this.staged.starter.start(record);
      await this.#handOver(record);
      await this.#checkHealth(record);
    } catch (error) {
      throw new ReloadFailedError([{ name: record.name, ...toReason(error) }]);
    }
  }

  /** What a version that failed has left behind is not to be trusted. */
  async #handOver(record: PluginRecord): Promise<void> {
    const before = this.#options.registry.get(record.name);
    if (before?.state !== 'started' || this.#scope.kind === 'previous') return;
    await handOver(this.#options.containment, before, record);
  }

  async #checkHealth(record: PluginRecord): Promise<void> {
    const { containment, healthTimeoutMs } = this.#options;
    const { status, message } = await healthOf({ containment, timeoutMs: healthTimeoutMs }, record);
    if (status !== 'unhealthy') return;
    const told = message === undefined ? '' : `: ${message}`;
    throw new GatewayError('plugin_error', `Its health check says "unhealthy"${told}`, {
      plugin: record.name,
    });
  }

  /** An operator who takes a plugin out while its next version is made means the plugin, not that version. */
  #refuseQuarantinedMeanwhile(): void {
    if (this.#scope.kind === 'previous') return;
    const { selected, dependents } = this.#plan;
    const taken = [...selected, ...dependents].filter(
      (record) => isSticky(record) && !this.#stickyBefore.has(record),
    );
    if (taken.length === 0) return;
    const message = 'It was quarantined while its next version was being started';
    throw new ReloadFailedError(taken.map(({ name }) => ({ name, code: 'plugin_quarantined', message })));
  }
}

/** @throws what is no problem of dependencies */
function toDependencyFailure(error: unknown): ReloadFailure {
  if (!isGatewayError(error) || error.code !== 'plugin_dependency') throw error;
  const [name = ''] = error instanceof PluginDependencyError ? error.path : [];
  return { name, ...toReason(error) };
}

function unexplained(state: PluginState): Omit<ReloadFailure, 'name'> {
  return { code: 'plugin_load', message: `It is ${state}` };
}
