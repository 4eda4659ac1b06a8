import type { TrialGate } from '../containment/trial-gate.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { PluginState } from '../lifecycle/states.ts';
import type { Guards, Member } from './member.ts';

/** A plugin that is neither of these takes no part and keeps nothing shut. */
const PRESENT: readonly PluginState[] = ['loaded', 'blocked', 'failed', 'rejected', 'started', 'quarantined'];

/** Rejections by which the operator says that a plugin is not to be part of the gateway at all. */
const UNWANTED: readonly string[] = ['plugin_not_allowlisted', 'plugin_capability_denied'];

const NO_GUARDS: Guards = Object.freeze({ auth: false, storage: false, requests: false });

/**
 * What the pipeline is compiled from: started and quarantined plugins with their bags; and, without bags, plugins
 * that policy admits but that did not start, so that what they should have guarded stays shut.
 */
export function toMembers(
  records: readonly PluginRecord[],
  gateOf: (record: PluginRecord) => TrialGate | null,
): readonly Member[] {
  return records.filter(takesPart).map((record) => ({
    name: record.name,
    owner: record.owner,
    bag: record.state === 'started' || record.state === 'quarantined' ? record.bag : null,
    gate: gateOf(record),
    guards: guardsOf(record),
    failClosed: record.metadata?.failClosed ?? false,
    failOpen: record.metadata?.failOpen ?? false,
  }));
}

function takesPart(record: PluginRecord): boolean {
  if (!PRESENT.includes(record.state)) return false;
  return record.state !== 'rejected' || !UNWANTED.includes(record.reason?.code ?? '');
}

function guardsOf({ metadata }: PluginRecord): Guards {
  if (metadata === null) return NO_GUARDS;
  return {
    auth: metadata.capabilities?.includes('AUTH_PROVIDER') ?? false,
    storage: metadata.capabilities?.includes('STORAGE_BACKEND') ?? false,
    requests: metadata.failClosed,
  };
}
