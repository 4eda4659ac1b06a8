import type { Containment } from '../containment/containment.ts';
import { toError } from '../errors.ts';
import type { HealthReport } from '../plugin-api/plugin.ts';
import type { PluginRecord } from './record.ts';
import type { PluginRegistry } from './registry.ts';

const OK: HealthReport = Object.freeze({ status: 'ok' });
const STATUSES: readonly unknown[] = ['ok', 'degraded', 'unhealthy'];

export interface HealthOptions {
  readonly registry: PluginRegistry;
  readonly containment: Containment;
  /** Longest wait for one plugin's `healthCheck`. */
  readonly timeoutMs: number;
}

/**
 * Asks all started plugins at once. One without `healthCheck` is `ok`; one that throws, hangs or answers anything but a
 * health report is `unhealthy`.
 */
export async function checkHealth(options: HealthOptions): Promise<void> {
  await Promise.all(
    options.registry.records.map(async (record) => {
      record.health = record.state === 'started' ? await healthOf(options, record) : null;
    }),
  );
}

/** Asks one plugin that has started. Never rejects. */
export async function healthOf(
  { containment, timeoutMs }: Omit<HealthOptions, 'registry'>,
  record: PluginRecord,
): Promise<HealthReport> {
  const { running } = record;
  if (running?.plugin.healthCheck === undefined) return OK;
  const site = {
    owner: record.owner,
    phase: 'health' as const,
    what: 'healthCheck()',
    check: checkReport,
    timeoutMs,
  };
  try {
    return await containment.call(site, null, () => running.plugin.healthCheck?.());
  } catch (error) {
    return { status: 'unhealthy', message: toError(error).message };
  }
}

function checkReport(value: unknown): HealthReport {
  const { status, message } = (
    typeof value === 'object' && value !== null ? value : {}
  ) as Partial<HealthReport>;
  if (status === undefined || !STATUSES.includes(status)) {
    throw new Error(`saw status ${JSON.stringify(status)}, expected "ok", "degraded" or "unhealthy"`);
  }
  return typeof message === 'string' ? { status, message } : { status };
}
