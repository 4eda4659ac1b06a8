import type { GatewayConfig } from '../config/types.ts';
import type { Snapshots } from '../discovery/snapshots.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { GatewayError, PluginLoadError } from '../errors.ts';
import { ReloadFailedError } from '../lifecycle/abort.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';
import { toReason } from '../lifecycle/start.ts';
import { nameBeforeLoad } from './admit.ts';
import { findPlugins, type LoadItem } from './plugin-loader.ts';

/** What a reload is about. */
export type ReloadScope =
  /** All that differs from what was loaded. */
  | { readonly kind: 'all' }
  /** One plugin, whether it differs or not. */
  | { readonly kind: 'plugin'; readonly name: string }
  /** What somebody has seen to change: specifiers of plugins in folders. */
  | { readonly kind: 'changed'; readonly specifiers: ReadonlySet<string> }
  /** A version that failed on probation; the one before it comes back. */
  | { readonly kind: 'previous'; readonly record: PluginRecord; readonly cause: string };

/** What a reload does with each plugin. */
export interface ReloadPlan {
  /** The next generation, in the order of discovery. */
  readonly items: readonly LoadItem[];
  /** Plugins that another version replaces because they are what the reload is about. */
  readonly selected: ReadonlySet<PluginRecord>;
  /** Plugins that are started anew because one that they depend on is. */
  readonly dependents: ReadonlySet<PluginRecord>;
  /** Plugins that are gone. */
  readonly removed: ReadonlySet<PluginRecord>;
  /** Plugins whose files are gone, and that stay all the same: see {@link isGuard}. */
  readonly orphans: ReadonlySet<PluginRecord>;
  /** Candidates that were not there before. */
  readonly added: ReadonlySet<PluginCandidate>;
}

export interface PlanOptions {
  readonly config: GatewayConfig;
  readonly registry: PluginRegistry;
  readonly snapshots: Snapshots;
}

/** A plugin that is there, one that can be found, or both. */
interface Pair {
  readonly record: PluginRecord | null;
  readonly found: PluginCandidate | null;
}

/**
 * Compares what can be found with what was loaded.
 *
 * @throws GatewayError `not_found`: there is no plugin of that name; ReloadFailedError `plugin_reload_failed`: it is
 * gone from the disk
 */
export async function planReload(options: PlanOptions, scope: ReloadScope): Promise<ReloadPlan> {
  const pairs = pairUp(findPlugins(options.config), options.registry.records);
  const chosen = new Map<Pair, PluginCandidate>();
  const removed = new Set<PluginRecord>();
  for (const pair of pairs) {
    const candidate = await choose(options, scope, pair);
    if (candidate !== null) chosen.set(pair, candidate);
    else if (isRemoved(scope, pair)) removed.add(pair.record);
  }
  if (scope.kind === 'plugin' && chosen.size === 0) throw notReloadable(options.registry, scope.name);
  const selected = new Set([...chosen.keys()].flatMap(({ record }) => record ?? []));
  const dependents = findDependents(options.registry, new Set([...selected, ...removed]));
  return {
    items: pairs.flatMap((pair) => toItem(options.registry, pair, chosen, dependents, removed)),
    selected,
    dependents,
    removed,
    orphans: new Set(pairs.filter((pair) => isOrphan(scope, pair)).flatMap(({ record }) => record ?? [])),
    added: new Set([...chosen].flatMap(([{ record }, candidate]) => (record === null ? [candidate] : []))),
  };
}

/** True when the reload has nothing to do. */
export function isEmpty({ selected, removed, added }: ReloadPlan): boolean {
  return selected.size === 0 && removed.size === 0 && added.size === 0;
}

/** A plugin that makes decisions for others, or keeps state for them: it must not go by mistake. */
export function isGuard({ metadata }: PluginRecord): boolean {
  const capabilities = metadata?.capabilities ?? [];
  return (
    capabilities.includes('AUTH_PROVIDER') ||
    capabilities.includes('STORAGE_BACKEND') ||
    metadata?.failClosed === true
  );
}

/** True when an operator has to release it. */
export function isSticky({ state, quarantine }: PluginRecord): boolean {
  return state === 'quarantined' && quarantine !== null && quarantine.until === null;
}

/** By specifier: whatever else changes, the place stays. What cannot be found any more comes last. */
function pairUp(found: readonly PluginCandidate[], records: readonly PluginRecord[]): Pair[] {
  const bySpecifier = new Map(records.map((record) => [record.candidate.specifier, record]));
  const known = new Set(found.map(({ specifier }) => specifier));
  return [
    ...found.map((candidate) => ({ found: candidate, record: bySpecifier.get(candidate.specifier) ?? null })),
    ...records
      .filter(({ candidate }) => !known.has(candidate.specifier))
      .map((record) => ({ found: null, record })),
  ];
}

/** What a plugin is to be loaded from; `null`: it is not what the reload is about. */
async function choose(
  { registry, snapshots }: PlanOptions,
  scope: ReloadScope,
  { record, found }: Pair,
): Promise<PluginCandidate | null> {
  if (scope.kind === 'previous') {
    return record === scope.record ? (record.probation?.previous.kept.candidate ?? null) : null;
  }
  if (found === null) return null;
  if (scope.kind === 'plugin') {
    const isMeant =
      record === null ? nameBeforeLoad(found) === scope.name : registry.get(scope.name) === record;
    return isMeant ? found : null;
  }
  if (scope.kind === 'changed') {
    if (!found.names.some((name) => scope.specifiers.has(name))) return null;
    if (record !== null && isSticky(record)) return null;
  }
  return record === null || (await differs(snapshots, record, found)) ? found : null;
}

/** Whether the files are others than those that were loaded. What policy refused before is looked at again. */
async function differs(snapshots: Snapshots, record: PluginRecord, found: PluginCandidate): Promise<boolean> {
  // Its code was not imported, so nobody knows what would have changed.
  if (isSticky(record) && record.plugin === null) return false;
  const before = record.candidate.problem;
  if (found.problem !== null) return found.problem.message !== before?.message;
  if (record.kept === null) return true;
  return (await snapshots.digest(found)) !== record.kept.digest;
}

function isRemoved(scope: ReloadScope, pair: Pair): pair is Pair & { readonly record: PluginRecord } {
  return isGone(scope, pair) && !isOrphan(scope, pair);
}

/** A folder that is gone for a moment, as in the middle of a deployment, must not open what its plugin guards. */
function isOrphan(scope: ReloadScope, pair: Pair): boolean {
  const { record } = pair;
  if (scope.kind !== 'changed' || record === null || !isGone(scope, pair)) return false;
  return isGuard(record) || isSticky(record);
}

function isGone(scope: ReloadScope, { record, found }: Pair): boolean {
  if (found !== null || record === null) return false;
  if (scope.kind === 'all') return true;
  return scope.kind === 'changed' && record.candidate.names.some((name) => scope.specifiers.has(name));
}

function notReloadable(registry: PluginRegistry, name: string): GatewayError {
  const record = registry.get(name);
  if (record === undefined)
    return new GatewayError('not_found', `There is no plugin ${JSON.stringify(name)}`);
  const { specifier } = record.candidate;
  const gone = new PluginLoadError(`There is no "${specifier}" any more`, {
    plugin: name,
    hint: 'To shut the plugin down, use POST /admin/plugins/reload.',
  });
  return new ReloadFailedError([{ name, ...toReason(gone) }]);
}

/** All that depend on `changed`, also by way of others. An operator's quarantine stays what it is. */
function findDependents(
  registry: PluginRegistry,
  changed: ReadonlySet<PluginRecord>,
): ReadonlySet<PluginRecord> {
  const names = new Set([...changed].map(({ name }) => name));
  const dependents = new Set<PluginRecord>();
  for (const record of registry.inOrder()) {
    if (changed.has(record) || record.kept === null || isSticky(record)) continue;
    if (!record.metadata?.dependsOn.some(({ name }) => names.has(name))) continue;
    names.add(record.name);
    dependents.add(record);
  }
  return dependents;
}

function toItem(
  registry: PluginRegistry,
  pair: Pair,
  chosen: ReadonlyMap<Pair, PluginCandidate>,
  dependents: ReadonlySet<PluginRecord>,
  removed: ReadonlySet<PluginRecord>,
): LoadItem[] {
  const { record } = pair;
  const candidate = chosen.get(pair);
  if (candidate !== undefined) return [{ candidate, stays: null }];
  if (record === null || removed.has(record)) return [];
  // The same bytes as before, whatever is on the disk now: it is not what the reload is about.
  if (dependents.has(record) && record.kept !== null)
    return [{ candidate: record.kept.candidate, stays: null }];
  const placed = registry.get(record.name) === record && registry.order.includes(record.name);
  return [{ candidate: record.candidate, stays: record, placed }];
}
