import { summarize } from '../contributions.ts';
import type { PluginReason, PluginRecord } from './record.ts';
import type { PluginState } from './states.ts';

/** One plugin as `GET /admin/plugins` shows it. See README.md, "Paths". */
export interface PluginView {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly specifier: string;
  readonly source: 'env' | 'folder';
  readonly capabilities: readonly string[];
  readonly dependsOn: readonly string[];
  readonly priority: number;
  readonly failureMode: string;
  readonly isolation: string;
  readonly state: PluginState;
  readonly reason: PluginReason | null;
  readonly startupMs: number | null;
  readonly failures: { readonly total: number; readonly recent: number };
  /** Times in ISO 8601. `until: null`: until an operator releases it. */
  readonly quarantine: {
    readonly since: string;
    readonly until: string | null;
    readonly cause: string;
  } | null;
  /** A new version that a reload brought; `until` in ISO 8601, `previous` is the version that would come back. */
  readonly probation?: { readonly until: string; readonly previous: string };
  /** This version came back, because `version` failed on probation. `at` in ISO 8601. */
  readonly rollback?: { readonly at: string; readonly version: string; readonly cause: string };
  readonly contributes: Readonly<Record<string, readonly string[] | number | boolean>>;
}

/** What a reload has changed. */
export interface ReloadReport {
  readonly changed: readonly PluginChange[];
  /** Plugins that go on as they were, by name. */
  readonly unchanged: readonly string[];
}

export interface PluginChange {
  readonly name: string;
  /** `restarted`: the same version anew, since one that it depends on has changed. */
  readonly change: 'added' | 'reloaded' | 'restarted' | 'removed';
  readonly state: PluginState;
  /** Versions; `null`: there was, or is, none. */
  readonly from: string | null;
  readonly to: string | null;
}

/** @param now epoch milliseconds, for the failures that are recent */
export function toView(record: PluginRecord, now: number): PluginView {
  const { candidate, metadata, quarantine, breaker, rollback } = record;
  const probation = record.probation !== null && now < record.probation.until ? record.probation : null;
  return {
    name: record.name,
    version: metadata?.version ?? '0.0.0',
    description: metadata?.description ?? '',
    specifier: candidate.specifier,
    source: candidate.source,
    capabilities: metadata?.capabilities ?? [],
    dependsOn: (metadata?.dependsOn ?? []).map(({ name }) => name),
    priority: metadata?.priority ?? 1000,
    failureMode: record.failureMode,
    isolation: metadata?.isolation ?? 'inline',
    state: record.state,
    reason: record.reason,
    startupMs: record.startupMs,
    failures: { total: breaker.total, recent: breaker.recent(now) },
    quarantine: quarantine && {
      since: toIso(quarantine.since),
      until: quarantine.until === null ? null : toIso(quarantine.until),
      cause: quarantine.cause,
    },
    ...(probation && {
      probation: { until: toIso(probation.until), previous: probation.previous.version },
    }),
    ...(rollback && { rollback: { ...rollback, at: toIso(rollback.at) } }),
    contributes: { ...summarize(record.bag) },
  };
}

function toIso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
