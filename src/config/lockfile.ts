import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { whyUnreadable } from './file.ts';
import { frozenMap } from './plain.ts';
import { type Report, showPath } from './problems.ts';

/** Raised when a file of the former format would be misread. */
const FORMAT = 1;
const WRITTEN_BY = 'a lock file of "routeiq plugins lock"';

/** One plugin as it was when the operator locked it. */
export interface LockedPlugin {
  /** As the candidate had it: `@acme/guard`, `plugins/hello`. */
  readonly specifier: string;
  readonly source: 'env' | 'folder';
  /** `name`, `version`, `description` and `llmrouter` of a package.json with a manifest; `null` without one. */
  readonly package: Readonly<Record<string, unknown>> | null;
  /** Digest of `files`: `sha256-` and base64. */
  readonly digest: string;
  /** Path below the plugin's root to the digest of the file, or to `link:` and the link's text. */
  readonly files: ReadonlyMap<string, string>;
}

/** Locked plugins by specifier. */
export type PluginLock = ReadonlyMap<string, LockedPlugin>;

const digest = z
  .string()
  .regex(/^sha256-[A-Za-z0-9+/]{43}=$/, 'expected sha256- and 44 characters of base64');
const plugin = z.strictObject({
  specifier: z.string().min(1),
  source: z.enum(['env', 'folder']),
  package: z.record(z.string(), z.unknown()).nullable(),
  digest,
  files: z.record(z.string(), z.union([digest, z.string().startsWith('link:')])),
});
const lockfile = z.strictObject({ version: z.literal(FORMAT), plugins: z.array(plugin) });

/**
 * Reads `LLMROUTER_PLUGINS_LOCKFILE`; `null` when it cannot be used, the report says why.
 *
 * @param name - as the operator wrote it
 */
export function readLock(name: string, cwd: string, report: Report): PluginLock | null {
  const blame = (problem: string): null => {
    report.problems.push(`LLMROUTER_PLUGINS_LOCKFILE: ${name}: ${problem}`);
    return null;
  };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(resolve(cwd, name)));
  } catch (error) {
    return blame(whyUnreadable(error, WRITTEN_BY));
  }
  const parsed = parseLock(text);
  return typeof parsed === 'string' ? blame(parsed) : parsed;
}

/** The text of a lock file: the same plugins give the same bytes. */
export function formatLock(plugins: readonly LockedPlugin[]): string {
  const sorted = plugins.toSorted((a, b) => (a.specifier < b.specifier ? -1 : 1));
  const shown = sorted.map(({ files, ...facts }) => ({ ...facts, files: Object.fromEntries(files) }));
  return `${JSON.stringify({ version: FORMAT, plugins: shown }, null, 2)}\n`;
}

/** The locked plugins, or what is wrong with the text. */
function parseLock(text: string): PluginLock | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `is not valid JSON; expected ${WRITTEN_BY}`;
  }
  const { data, error } = lockfile.safeParse(value);
  if (data === undefined) {
    const [issue] = error.issues;
    return `${showPath(issue?.path ?? []) || 'the file'}: ${issue?.message}; expected ${WRITTEN_BY}`;
  }
  const lock = frozenMap(
    data.plugins.map((entry) => [
      entry.specifier,
      { ...entry, files: frozenMap(Object.entries(entry.files)) },
    ]),
  );
  // Of two entries for one plugin nobody could say which one was reviewed.
  return lock.size === data.plugins.length ? lock : `names a plugin twice; expected ${WRITTEN_BY}`;
}
