import type { GatewayConfig } from '../config/types.ts';
import { Breaker } from '../containment/breaker.ts';
import type { Owner } from '../containment/owner.ts';
import { discover } from '../discovery/candidates.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { GatewayError, PluginLoadError } from '../errors.ts';
import { PluginRenamedError } from '../lifecycle/abort.ts';
import { effectiveFailureMode } from '../lifecycle/failure-mode.ts';
import type { StoredQuarantine } from '../lifecycle/quarantine-store.ts';
import { createRecord, type PluginRecord } from '../lifecycle/record.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';
import { toReason } from '../lifecycle/start.ts';
import { type OrderNode, type ResolvedOrder, resolveOrder } from '../order/order.ts';
import { type StepTimer, UNTIMED } from '../telemetry/boot-timer.ts';
import { Admissions } from './admissions.ts';
import { type Admission, admit, type ImportGuard, nameBeforeLoad } from './admit.ts';
import { underLock } from './plugin-lock.ts';

export interface LoaderOptions {
  readonly config: GatewayConfig;
  /** Filled with a record for every plugin seen, also those that policy refuses; and with the load order. */
  readonly registry: PluginRegistry;
  /** `record` gives the record once it exists. */
  readonly createOwner: (identity: Pick<Owner, 'name' | 'root'>, record: () => PluginRecord) => Owner;
  readonly guard: ImportGuard;
  /** Takes note of a plugin that was quarantined in an earlier run and is not imported. */
  readonly onHeld: (record: PluginRecord, quarantine: StoredQuarantine) => void;
  /** Applies the failure mode of a plugin that cannot be loaded. */
  readonly onFailed: (record: PluginRecord, error: Error) => void;
  /** What to load, in the order of discovery. Default: all that can be found. */
  readonly items?: readonly LoadItem[];
  /** Times the steps. Default: nobody does. */
  readonly timer?: StepTimer;
}

/** One place in the order of discovery. */
export interface LoadItem {
  readonly candidate: PluginCandidate;
  /** A plugin that is there already and stays as it is; `null`: to be admitted. */
  readonly stays: PluginRecord | null;
  /** Whether that one has a place in the load order. */
  readonly placed?: boolean;
}

/** States of a first plugin in which its name is taken. */
const HOLDS_NAME: ReadonlySet<PluginRecord['state']> = new Set([
  'loaded',
  'blocked',
  'failed',
  'started',
  'quarantined',
]);

/**
 * Discovery, policy, import and order: everything that happens to plugins before the first `startup`.
 *
 * @throws PluginDependencyError `plugin_dependency`; whatever `onFailed` throws
 */
export async function loadPlugins(options: LoaderOptions): Promise<ResolvedOrder> {
  const { config, registry, timer = UNTIMED } = options;
  const items = options.items ?? timer.now('discovery', () => allOf(config));
  const placed = await timer.step('admission', () => enterAll(options, items));
  const order = timer.now('order', () => resolveOrder(toNodes(registry, placed)));
  registry.setOrder(order.names.filter((name) => takesPlace(registry.get(name), placed)));
  return order;
}

function allOf(config: GatewayConfig): readonly LoadItem[] {
  return findPlugins(config).map((candidate) => ({ candidate, stays: null }));
}

/** Resolves to those that have a place in the load order although they are not loaded. */
async function enterAll(
  options: LoaderOptions,
  items: readonly LoadItem[],
): Promise<ReadonlySet<PluginRecord>> {
  const { config, guard, registry, timer = UNTIMED } = options;
  const placed = new Set<PluginRecord>();
  const fresh = items.filter(({ stays }) => stays === null).map(({ candidate }) => candidate);
  const admissions = new Admissions(fresh, config.plugins, guard);
  for (const { candidate, stays, placed: hasPlace = false } of items) {
    if (stays === null) {
      const name = nameBeforeLoad(candidate);
      const { record, verdict } = await timer.step(name, async () =>
        enter(options, candidate, await admissions.of(candidate)),
      );
      if (verdict === 'held') placed.add(record);
    } else {
      registry.add(stays);
      if (hasPlace) placed.add(stays);
    }
  }
  return placed;
}

/** All that discovery finds, as the lock file has it. No code is read. */
export function findPlugins({ cwd, plugins }: GatewayConfig): PluginCandidate[] {
  const { specifiers, dirs, lock } = plugins;
  return underLock(discover({ specifiers, dirs, cwd }), lock);
}

/** What an operator may release has its place in the order, though its code has not been imported. */
function takesPlace(record: PluginRecord | undefined, placed: ReadonlySet<PluginRecord>): boolean {
  return record !== undefined && (record.state === 'loaded' || placed.has(record));
}

/**
 * Imports a plugin that was held.
 *
 * @throws what keeps it from being loaded; PluginRenamedError when its code gives it another name
 */
export async function loadHeld(
  record: PluginRecord,
  config: GatewayConfig,
  guard: ImportGuard,
): Promise<void> {
  const admission = await admit(record.candidate, config.plugins, { ...guard, held: [] });
  if (admission.verdict === 'rejected' || admission.verdict === 'failed') throw admission.error;
  if (admission.verdict !== 'loaded')
    throw new GatewayError('conflict', `It is ${admission.verdict} now`, { plugin: record.name });
  if (admission.name !== record.name) throw new PluginRenamedError(record.name, admission.name);
  record.plugin = admission.loaded.plugin;
  record.kept = admission.version?.kept ?? null;
  record.metadata = admission.metadata;
  record.failureMode = effectiveFailureMode(admission.metadata.failureMode, config.plugins.failureMode);
}

function enter(
  options: LoaderOptions,
  candidate: PluginCandidate,
  decided: Admission,
): { readonly record: PluginRecord; readonly verdict: Admission['verdict'] } {
  const { registry } = options;
  const admission = refuseSecond(registry, candidate, decided);
  const record = toRecord(options, candidate, admission);
  registry.add(record);
  applyVerdict(options, record, admission);
  return { record, verdict: admission.verdict };
}

function applyVerdict(
  { registry, onHeld, onFailed }: LoaderOptions,
  record: PluginRecord,
  admission: Admission,
): void {
  switch (admission.verdict) {
    case 'loaded':
      registry.transition(record, 'load', null);
      break;
    case 'inactive':
      registry.transition(record, 'deactivate', admission.reason);
      break;
    case 'rejected':
      registry.transition(record, 'reject', toReason(admission.error));
      break;
    case 'held':
      onHeld(record, admission.quarantine);
      break;
    case 'failed':
      onFailed(record, admission.error);
  }
}

/** A second plugin of one name is rejected. See docs/plugins.md, "Order". */
function refuseSecond(registry: PluginRegistry, candidate: PluginCandidate, admission: Admission): Admission {
  const first = registry.get(admission.name);
  const wantsName = admission.verdict === 'loaded' || admission.verdict === 'held';
  if (!wantsName || first === undefined || !HOLDS_NAME.has(first.state)) return admission;
  const { name, metadata, version } = admission;
  const message = `The name "${name}" belongs to the plugin from "${first.candidate.specifier}" already; the one from "${candidate.specifier}" needs another`;
  return {
    name,
    metadata,
    version,
    verdict: 'rejected',
    error: new PluginLoadError(message, { plugin: name }),
  };
}

function toRecord(options: LoaderOptions, candidate: PluginCandidate, admission: Admission): PluginRecord {
  const { config, createOwner } = options;
  const { name, metadata, version } = admission;
  const { isFile, entry, root: folder } = version?.imported ?? candidate;
  // The frames of a single file are its own only; the folder around it has others' files too.
  const root = isFile ? entry : folder;
  const record: PluginRecord = createRecord({
    name,
    candidate,
    metadata,
    plugin: admission.verdict === 'loaded' ? admission.loaded.plugin : null,
    kept: version?.kept ?? null,
    failureMode: effectiveFailureMode(metadata?.failureMode ?? null, config.plugins.failureMode),
    breaker: new Breaker(config.plugins),
    owner: createOwner({ name, root }, () => record),
  });
  return record;
}

/** Plugins that take no part are nodes too: depending on one of them blocks, but is no configuration error. */
function toNodes(registry: PluginRegistry, placed: ReadonlySet<PluginRecord>): OrderNode[] {
  return registry.records
    .filter((record) => registry.get(record.name) === record)
    .map((record) => ({
      name: record.name,
      version: record.metadata?.version ?? null,
      priority: record.metadata?.priority ?? 1000,
      dependsOn: takesPlace(record, placed) ? (record.metadata?.dependsOn ?? []) : [],
    }));
}
