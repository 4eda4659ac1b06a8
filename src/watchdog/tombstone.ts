import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Tombstone } from './types.ts';

/** How a tombstone's file name ends; what is being written has another one. */
export const TOMBSTONE_SUFFIX = '.json';

/**
 * Writes a tombstone, whole or not at all. A file of its own rather than the embedded store: the main thread may be
 * stuck inside of a transaction.
 */
export function writeTombstone(dir: string, tombstone: Tombstone): void {
  const name = `${tombstone.at}-${tombstone.pid}`;
  const unfinished = join(dir, `${name}.new`);
  if (!existsSync(dir)) mkdirSync(dir, { mode: 0o700 });
  const file = openSync(unfinished, 'w', 0o600);
  try {
    writeSync(file, JSON.stringify(tombstone));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(unfinished, join(dir, `${name}${TOMBSTONE_SUFFIX}`));
}

/** One sentence, without its full stop. */
export function describeStall({ plugin, stalledMs, phase, place, requestId }: Tombstone): string {
  const who =
    plugin === null ? 'The event loop stood still' : `Plugin "${plugin.name}" held up the event loop`;
  const when = phase === null ? '' : `, phase ${phase}`;
  const request = requestId === null ? '' : `, request ${requestId}`;
  return `${who} for ${stalledMs} ms${when}${request}, at ${place ?? 'a place that cannot be seen (native code)'}`;
}
