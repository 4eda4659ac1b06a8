import type { GatewayConfig } from '../config/types.ts';
import { Breaker } from '../containment/breaker.ts';
import type { Owner } from '../containment/owner.ts';
import { discover } from '../discovery/candidates.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { PluginLoadError } from '../errors.ts';
import { effectiveFailureMode } from '../lifecycle/failure-mode.ts';
import { createRecord, type PluginRecord } from '../lifecycle/record.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';
import { toReason } from '../lifecycle/start.ts';
import { type OrderNode, type ResolvedOrder, resolveOrder } from '../order/order.ts';
import { type Admission, admit } from './admit.ts';
import { underLock } from './plugin-lock.ts';

export interface LoaderOptions {
  readonly config: GatewayConfig;
  /** Filled with a record for every plugin seen, also those that policy refuses; and with the load order. */
  readonly registry: PluginRegistry;
  /** `record` gives the record once it exists. */
  readonly createOwner: (identity: Pick<Owner, 'name' | 'root'>, record: () => PluginRecord) => Owner;
  /** Applies the failure mode of a plugin that cannot be loaded. */
  readonly onFailed: (record: PluginRecord, error: Error) => void;
}

/** States of a first plugin in which its name is taken. */
const HOLDS_NAME: ReadonlySet<PluginRecord['state']> = new Set(['loaded', 'failed', 'quarantined']);

/**
 * Discovery, policy, import and order: everything that happens to plugins before the first `startup`.
 *
 * @throws PluginDependencyError `plugin_dependency`; whatever `onFailed` throws
 */
export async function loadPlugins(options: LoaderOptions): Promise<ResolvedOrder> {
  const { config, registry } = options;
  const { specifiers, dirs } = config.plugins;
  const found = discover({ specifiers, dirs, cwd: config.cwd });
  for (const candidate of underLock(found, config.plugins.lock)) await load(options, candidate);
  const order = resolveOrder(toNodes(registry));
  registry.setOrder(order.names.filter((name) => registry.get(name)?.state === 'loaded'));
  return order;
}

async function load(options: LoaderOptions, candidate: PluginCandidate): Promise<void> {
  const { config, registry, onFailed } = options;
  const admission = refuseSecond(registry, candidate, await admit(candidate, config.plugins));
  const record = toRecord(options, candidate, admission);
  registry.add(record);
  switch (admission.verdict) {
    case 'loaded':
      return registry.transition(record, 'load', null);
    case 'inactive':
      return registry.transition(record, 'deactivate', admission.reason);
    case 'rejected':
      return registry.transition(record, 'reject', toReason(admission.error));
    case 'failed':
      return onFailed(record, admission.error);
  }
}

/** A second plugin of one name is rejected. Source: the contract, "Order". */
function refuseSecond(registry: PluginRegistry, candidate: PluginCandidate, admission: Admission): Admission {
  const first = registry.get(admission.name);
  if (admission.verdict !== 'loaded' || first === undefined || !HOLDS_NAME.has(first.state)) return admission;
  const { name, metadata } = admission;
  const message = `The name "${name}" belongs to the plugin from "${first.candidate.specifier}" already; the one from "${candidate.specifier}" needs another`;
  return { name, metadata, verdict: 'rejected', error: new PluginLoadError(message, { plugin: name }) };
}

function toRecord(options: LoaderOptions, candidate: PluginCandidate, admission: Admission): PluginRecord {
  const { config, createOwner } = options;
  const { name, metadata } = admission;
  // The frames of a single file are its own only; the folder around it has others' files too.
  const root = candidate.isFile ? candidate.entry : candidate.root;
  const record: PluginRecord = createRecord({
    name,
    candidate,
    metadata,
    plugin: admission.verdict === 'loaded' ? admission.loaded.plugin : null,
    failureMode: effectiveFailureMode(metadata?.failureMode ?? null, config.plugins.failureMode),
    breaker: new Breaker(config.plugins),
    owner: createOwner({ name, root }, () => record),
  });
  return record;
}

/** Plugins that take no part are nodes too: depending on one of them blocks, but is no configuration error. */
function toNodes(registry: PluginRegistry): OrderNode[] {
  return registry.records
    .filter((record) => registry.get(record.name) === record)
    .map(({ name, metadata, state }) => ({
      name,
      version: metadata?.version ?? null,
      priority: metadata?.priority ?? 1000,
      dependsOn: state === 'loaded' ? (metadata?.dependsOn ?? []) : [],
    }));
}
