import type { Breaker } from '../containment/breaker.ts';
import type { Owner } from '../containment/owner.ts';
import type { Contributions } from '../contributions.ts';
import type { Snapshot } from '../discovery/snapshots.ts';
import type { PluginCandidate, ResolvedMetadata } from '../discovery/types.ts';
import type { PluginApp } from '../plugin-api/app.ts';
import type { PluginContext } from '../plugin-api/context.ts';
import type { FailureMode } from '../plugin-api/failure-mode.ts';
import type { HealthReport, Plugin } from '../plugin-api/plugin.ts';
import type { PluginState } from './states.ts';

/** Why a plugin is where it is: a code that tools match, and a sentence that tells what to change. */
export interface PluginReason {
  readonly code: string;
  readonly message: string;
}

/** Times are epoch milliseconds. */
export interface Quarantine {
  readonly since: number;
  /** When the next trial call is due; `null`: when an operator releases it. */
  readonly until: number | null;
  readonly cause: string;
}

/** What exists of a plugin once its startup has returned. */
export interface RunningPlugin {
  readonly plugin: Plugin;
  readonly app: PluginApp;
  readonly context: PluginContext;
  /** Aborts `context.signal`. */
  readonly abort: AbortController;
}

/** What a plugin is, known when it has been admitted or refused. */
export type PluginIdentity = Pick<
  PluginRecord,
  'name' | 'candidate' | 'metadata' | 'plugin' | 'kept' | 'failureMode' | 'breaker' | 'owner'
>;

/** All that the gateway knows of one plugin. Only the lifecycle writes to it; `state` only through the registry. */
export interface PluginRecord {
  readonly name: string;
  readonly candidate: PluginCandidate;
  /** `null`: its code and manifest tell nothing. */
  metadata: ResolvedMetadata | null;
  /** The imported plugin; `null` before or without import. */
  plugin: Plugin | null;
  /** The files that it was imported from; `null` when they are not kept, because nothing can reload it. */
  kept: Snapshot | null;
  failureMode: FailureMode;
  readonly breaker: Breaker;
  readonly owner: Owner;
  state: PluginState;
  reason: PluginReason | null;
  startupMs: number | null;
  quarantine: Quarantine | null;
  /** True while the one trial call of a cooled-down plugin is under way. */
  trial: boolean;
  running: RunningPlugin | null;
  /** What the pipeline is compiled from; `null`: nothing was registered. */
  bag: Contributions | null;
  health: HealthReport | null;
  /** Since a reload, and until it has stood its test. */
  probation: Probation | null;
  /** Why this is an earlier version than the one that was there before; `null`: it is not. */
  rollback: Rollback | null;
}

/** A new version is on probation: the version before it is kept, and comes back if this one fails too often. */
export interface Probation {
  /** Epoch milliseconds. */
  readonly until: number;
  readonly previous: { readonly version: string; readonly kept: Snapshot };
}

/** A version has failed on probation, and the one before it has come back. */
export interface Rollback {
  /** Epoch milliseconds. */
  readonly at: number;
  /** The version that failed. */
  readonly version: string;
  readonly cause: string;
}

/** A plugin at the beginning of its life. */
export function createRecord(identity: PluginIdentity): PluginRecord {
  return {
    ...identity,
    state: 'discovered',
    reason: null,
    startupMs: null,
    quarantine: null,
    trial: false,
    running: null,
    bag: null,
    health: null,
    probation: null,
    rollback: null,
  };
}
