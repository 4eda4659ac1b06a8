import type { LockedPlugin } from '../config/lockfile.ts';
import type { PluginDigest } from '../discovery/digest.ts';
import { PluginSecurityError } from '../errors.ts';

/** So many files are named; a plugin that was exchanged as a whole would fill pages. */
const NAMED = 3;

/**
 * Whether a plugin is, byte for byte, what the operator locked.
 *
 * @param locked - its entry in the lock file; `undefined`: there is none
 * @param seen - what is on the disk now
 * @returns why not (`plugin_security`), or `null`
 */
export function checkLock(
  specifier: string,
  locked: LockedPlugin | undefined,
  seen: PluginDigest,
): PluginSecurityError | null {
  if (locked === undefined) {
    return refused(
      `Plugin "${specifier}" is not in the lock file (LLMROUTER_PLUGINS_LOCKFILE)`,
      'To let it load, look at its files and run "routeiq plugins lock".',
    );
  }
  if (locked.digest === seen.digest) return null;
  return refused(
    `Plugin "${specifier}" is not what the lock file has (LLMROUTER_PLUGINS_LOCKFILE): ${differences(locked.files, seen.files)}`,
    'If you made the change, run "routeiq plugins lock"; if not, put the plugin back as it was.',
  );
}

function differences(locked: PluginDigest['files'], seen: PluginDigest['files']): string {
  const found = [
    ...[...locked].filter(([name, digest]) => (seen.get(name) ?? digest) !== digest).map(said('has changed')),
    ...[...seen].filter(([name]) => !locked.has(name)).map(said('was added')),
    ...[...locked].filter(([name]) => !seen.has(name)).map(said('was removed')),
  ];
  if (found.length === 0) return 'the digests differ';
  const more = found.length - NAMED;
  return found.slice(0, NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function said(what: string): (entry: readonly [string, string]) => string {
  return ([name]) => `${JSON.stringify(name)} ${what}`;
}

function refused(message: string, hint: string): PluginSecurityError {
  return new PluginSecurityError('plugin_security', message, { hint });
}
