import type { Logger } from 'winston';
import type { Snapshots } from '../discovery/snapshots.ts';
import { toError } from '../errors.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import { PluginRegistry } from '../lifecycle/registry.ts';
import type { PluginChange, ReloadReport } from '../lifecycle/view.ts';
import type { Generation } from './generation.ts';
import { NextGeneration, type NextGenerationOptions } from './next-generation.ts';
import { isEmpty, planReload, type ReloadPlan, type ReloadScope } from './reload-plan.ts';

export interface ReloaderOptions extends NextGenerationOptions {
  readonly log: Logger;
  readonly snapshots: Snapshots;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Makes an empty generation. */
  readonly stage: (registry: PluginRegistry) => Generation;
  /** Puts a generation in the place of the current one: in one step, between two requests. */
  readonly swap: (staged: Generation) => void;
  /** Stops and forgets plugins that never served. `records` are in load order. */
  readonly discard: (staged: Generation, records: readonly PluginRecord[]) => Promise<void>;
  /** Stops and forgets plugins once no request uses them any more. Returns at once. */
  readonly retire: (records: readonly PluginRecord[]) => void;
}

/**
 * Makes generation after generation of plugins beside the one that serves. Until the swap, which is one assignment,
 * the current one has not changed; when anything fails before, what was made is shut down again.
 */
export class Reloader {
  readonly #options: ReloaderOptions;

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /**
   * Plans, makes and swaps. The caller sees to it that only one reload runs at a time.
   *
   * @throws GatewayError `not_found`; ReloadFailedError `plugin_reload_failed`; see {@link NextGeneration.make}
   */
  async run(scope: ReloadScope): Promise<ReloadReport> {
    const { log, registry, stage, swap, discard, retire } = this.#options;
    const plan = await planReload(this.#options, scope);
    for (const { name, candidate } of plan.orphans) {
      log.warn('the files of a plugin that guards others are gone; it stays until all plugins are reloaded', {
        event: 'plugin_orphaned',
        plugin: name,
        specifier: candidate.specifier,
      });
    }
    if (isEmpty(plan)) return toReport(registry.records, registry.records, plan);
    const staged = stage(new PluginRegistry(log.child({ staged: true })));
    const next = new NextGeneration(this.#options, staged, plan, scope);
    try {
      await next.make();
    } catch (error) {
      await discard(staged, next.fresh);
      log.error('plugins were not reloaded', {
        event: 'plugin_reload_failed',
        scope: scope.kind,
        error: toError(error),
      });
      throw error;
    }
    for (const record of next.fresh) this.#inherit(record, plan, scope);
    const before = registry.allInOrder();
    swap(staged);
    const report = toReport(before, staged.registry.records, plan);
    log.info('plugins reloaded', { event: 'plugins_reloaded', scope: scope.kind, changed: report.changed });
    retire(before.filter((record) => !registry.has(record)));
    return report;
  }

  /** What a version takes over from the one before it. */
  #inherit(record: PluginRecord, plan: ReloadPlan, scope: ReloadScope): void {
    const { config, now, registry } = this.#options;
    const before = registry.get(record.name);
    if (before === undefined) return;
    const version = before.metadata?.version ?? '0.0.0';
    const { probationMs } = config.plugins;
    if (scope.kind === 'previous' && before === scope.record) {
      record.rollback = { at: now(), version, cause: scope.cause };
    } else if (plan.dependents.has(before)) {
      record.probation = before.probation;
      record.rollback = before.rollback;
    } else if (before.state === 'started' && before.kept !== null && probationMs > 0) {
      record.probation = { until: now() + probationMs, previous: { version, kept: before.kept } };
    }
  }
}

/** Refused as before is no change. */
function toReport(
  before: readonly PluginRecord[],
  after: readonly PluginRecord[],
  plan: ReloadPlan,
): ReloadReport {
  const changes = after.flatMap((record) => toChange(before, record, plan));
  const changed = new Set(changes.map(({ name }) => name));
  return {
    changed: [
      ...changes,
      ...[...plan.removed].map(({ name, state, metadata }) => ({
        name,
        change: 'removed' as const,
        state,
        from: metadata?.version ?? null,
        to: null,
      })),
    ],
    unchanged: [...new Set(after.map(({ name }) => name))].filter((name) => !changed.has(name)),
  };
}

function toChange(before: readonly PluginRecord[], record: PluginRecord, plan: ReloadPlan): PluginChange[] {
  if (before.includes(record)) return [];
  const old = before.find(({ candidate }) => candidate.specifier === record.candidate.specifier);
  const { name, state, metadata } = record;
  const isRefused = state === 'rejected' || state === 'inactive';
  if (isRefused && old?.state === state && old.reason?.message === record.reason?.message) return [];
  const change = old === undefined ? 'added' : plan.dependents.has(old) ? 'restarted' : 'reloaded';
  return [{ name, change, state, from: old?.metadata?.version ?? null, to: metadata?.version ?? null }];
}
