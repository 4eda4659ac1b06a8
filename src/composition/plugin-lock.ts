import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LockedPlugin, PluginLock } from '../config/lockfile.ts';
import type { PluginsConfig } from '../config/types.ts';
import { digestPlugin } from '../discovery/digest.ts';
import { parseManifest } from '../discovery/manifest.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { isGatewayError, PluginLoadError, PluginSecurityError } from '../errors.ts';
import { checkLock } from '../policy/lockfile.ts';

/**
 * Candidates with the manifests that the operator locked in place of those on the disk, so that nobody who may write
 * there can turn an auth plugin into one that is inactive or guards nothing, and with it open what it keeps shut. For
 * the same reason a plugin that has gone from its folder is a candidate still, with a `problem`. One that
 * `LLMROUTER_PLUGINS` no longer names is gone by the operator's own will.
 */
export function underLock(
  candidates: readonly PluginCandidate[],
  lock: PluginLock | null,
): PluginCandidate[] {
  if (lock === null) return [...candidates];
  const known = new Set(candidates.flatMap(({ names }) => names));
  const gone = [...lock.values()].filter(
    ({ source, specifier }) => source === 'folder' && !known.has(specifier),
  );
  return [
    ...candidates.map((candidate) => {
      const locked = lock.get(candidate.specifier);
      return locked === undefined ? candidate : withLockedManifest(candidate, locked);
    }),
    ...gone.map((locked) => withLockedManifest(missing(locked), locked)),
  ];
}

/**
 * Why a plugin may not be imported: its bytes are not those in the lock file. `null` when they are, or when there is
 * no lock file. Reads every file of the plugin.
 *
 * @throws PluginSecurityError `plugin_security`: its files cannot be digested
 */
export async function findLockProblem(
  candidate: PluginCandidate,
  { lock, lockfile }: Pick<PluginsConfig, 'lock' | 'lockfile'>,
): Promise<PluginSecurityError | null> {
  if (lock === null) return null;
  const locked = lock.get(candidate.specifier);
  return checkLock(candidate.specifier, locked, await digestPlugin(candidate, realLockfile(lockfile)));
}

/** The lock file's path as a walk over real folders comes by it; it may lie in a plugin's folder. */
export function realLockfile(lockfile: string | null): string | null {
  if (lockfile === null) return null;
  try {
    return join(realpathSync(dirname(lockfile)), basename(lockfile));
  } catch {
    return lockfile;
  }
}

function withLockedManifest(candidate: PluginCandidate, locked: LockedPlugin): PluginCandidate {
  try {
    const manifest = locked.package && parseManifest(locked.package, candidate.specifier);
    const packageName = manifest?.packageName ?? null;
    const names = packageName === null ? candidate.names : [...new Set([...candidate.names, packageName])];
    return Object.freeze({ ...candidate, manifest, names: Object.freeze(names) });
  } catch (error) {
    const cause = isGatewayError(error) ? error.message : String(error);
    const problem = new PluginLoadError(`${cause} (as LLMROUTER_PLUGINS_LOCKFILE has it)`, {
      hint: 'Run "routeiq plugins lock".',
      cause: error,
    });
    return Object.freeze({ ...candidate, problem });
  }
}

function missing({ specifier, source }: LockedPlugin): PluginCandidate {
  const problem = new PluginSecurityError(
    'plugin_security',
    `Plugin "${specifier}" is in the lock file (LLMROUTER_PLUGINS_LOCKFILE), and there is no such plugin`,
    { hint: 'If you removed it, run "routeiq plugins lock"; if not, put it back.' },
  );
  const nowhere = { root: null, entry: null, isFile: false, exportName: null, manifest: null };
  return { specifier, names: [specifier], source, ...nowhere, problem };
}
