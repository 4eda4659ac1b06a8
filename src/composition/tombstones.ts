import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'winston';
import { z } from 'zod';
import { toError } from '../errors.ts';
import { type QuarantineStore, SILHOUETTE } from '../lifecycle/quarantine-store.ts';
import { describeStall, TOMBSTONE_SUFFIX } from '../watchdog/tombstone.ts';
import type { Tombstone } from '../watchdog/types.ts';

/** Written by another process, maybe of another version. */
const TOMBSTONE: z.ZodType<Omit<Tombstone, 'phase'> & { phase: string | null }> = z.object({
  at: z.number(),
  pid: z.number(),
  stalledMs: z.number(),
  plugin: z.nullable(
    z.object({ name: z.string(), specifier: z.string(), silhouette: z.nullable(SILHOUETTE) }),
  ),
  phase: z.nullable(z.string()),
  place: z.nullable(z.string()),
  requestId: z.nullable(z.string()),
});

/** A plugin that held up an earlier process, and is quarantined for it. */
export interface Culprit {
  readonly plugin: string;
  readonly cause: string;
}

/**
 * Turns what processes left behind that stood still into quarantines, which hold until an operator releases them. A
 * tombstone is removed only after its quarantine has been stored; several processes may read the same one.
 */
export async function readTombstones(
  dir: string,
  { store, log }: { readonly store: QuarantineStore; readonly log: Logger },
): Promise<readonly Culprit[]> {
  const culprits: Culprit[] = [];
  for (const file of tombstoneFiles(dir)) {
    const tombstone = parse(join(dir, file), log);
    if (tombstone === null) continue;
    const { at, plugin } = tombstone;
    const cause = describeStall(tombstone);
    log.error('an earlier process stood still and was ended', {
      event: 'stalled',
      cause,
      ...tombstone,
      plugin: plugin?.name,
    });
    if (plugin !== null) {
      const { name, specifier, silhouette } = plugin;
      await store.save(name, { since: at, cause, code: 'plugin_quarantined', silhouette, specifier });
      culprits.push({ plugin: name, cause });
    }
    rmSync(join(dir, file), { force: true });
  }
  return culprits;
}

function tombstoneFiles(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((file) => file.endsWith(TOMBSTONE_SUFFIX))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** One that cannot be read stays where it is, for people; `null` too when another process has removed it meanwhile. */
function parse(path: string, log: Logger): Tombstone | null {
  try {
    return TOMBSTONE.parse(JSON.parse(readFileSync(path, 'utf8'))) as Tombstone;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    log.error('a tombstone cannot be read', { event: 'tombstone_unreadable', path, error: toError(error) });
    return null;
  }
}
