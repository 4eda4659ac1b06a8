import type { Logger } from 'winston';
import { type Containment, ignoreResult } from '../containment/containment.ts';
import { toError } from '../errors.ts';
import { endSignal } from './end-signal.ts';
import type { PluginRecord, RunningPlugin } from './record.ts';
import type { PluginRegistry } from './registry.ts';

export interface StopperOptions {
  readonly registry: PluginRegistry;
  readonly containment: Containment;
  readonly shutdownTimeoutMs: number;
  readonly log: Logger;
}

/**
 * Stops every plugin whose startup had succeeded, in the exact reverse of load order, each with a deadline. A failure
 * is logged and the next one's turn comes all the same. Never rejects.
 */
export function stopAll(options: StopperOptions): Promise<void> {
  return stopInReverse(options, options.registry.inOrder());
}

/**
 * The same for some plugins, which the registry need not have any more.
 *
 * @param records - in load order
 */
export async function stopInReverse(
  options: StopperOptions,
  records: readonly PluginRecord[],
): Promise<void> {
  for (const record of records.toReversed()) {
    if (record.running !== null) await stopOne(options, record, record.running);
  }
}

async function stopOne(options: StopperOptions, record: PluginRecord, running: RunningPlugin): Promise<void> {
  endSignal(options.containment, record.owner, 'shutdown', running.abort);
  await shutdown(options, record, running);
  await closeStorage(options, record);
  record.running = null;
  options.registry.transition(record, 'stop', record.reason);
}

async function shutdown(
  options: StopperOptions,
  record: PluginRecord,
  running: RunningPlugin,
): Promise<void> {
  const { plugin, app, context } = running;
  if (plugin.shutdown === undefined) return;
  await logged(options, record, 'shutdown()', () => plugin.shutdown?.(app, context));
}

async function closeStorage(options: StopperOptions, record: PluginRecord): Promise<void> {
  const backend = record.bag?.storageBackend;
  if (backend?.close === undefined) return;
  await logged(options, record, 'storage close()', () => backend.close?.());
}

async function logged(
  { containment, shutdownTimeoutMs, log }: StopperOptions,
  record: PluginRecord,
  what: string,
  fn: () => unknown,
): Promise<void> {
  const { owner } = record;
  const site = { owner, phase: 'shutdown' as const, what, check: ignoreResult, timeoutMs: shutdownTimeoutMs };
  try {
    await containment.call(site, null, fn);
  } catch (error) {
    log.error(`plugin ${what} failed`, {
      event: 'plugin_shutdown_failed',
      plugin: record.name,
      error: toError(error),
    });
  }
}
