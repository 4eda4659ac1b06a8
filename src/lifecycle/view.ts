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
  readonly contributes: Readonly<Record<string, readonly string[] | number | boolean>>;
}

/** @param now epoch milliseconds, for the failures that are recent */
export function toView(record: PluginRecord, now: number): PluginView {
  const { candidate, metadata, quarantine, breaker } = record;
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
    contributes: { ...summarize(record.bag) },
  };
}

function toIso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
