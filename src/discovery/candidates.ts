import { type GatewayError, isGatewayError, PluginLoadError } from '../errors.ts';
import { type FolderItem, scanFolder } from './folder-scan.ts';
import { NoEntryError, type ResolvedSpecifier, resolveSpecifier } from './resolve.ts';
import { parseSpecifier } from './specifier.ts';
import type { PluginCandidate } from './types.ts';

/** Where to look for plugins. */
export interface DiscoveryOptions {
  /** `LLMROUTER_PLUGINS`, in the operator's order. */
  readonly specifiers: readonly string[];
  /** `LLMROUTER_PLUGINS_DIR`, as written. */
  readonly dirs: readonly string[];
  /** Absolute path that specifiers, packages and folders are resolved from. */
  readonly cwd: string;
}

/**
 * Finds all plugins without reading or running their code: first the specifiers in order, then each folder's
 * sub-folders and code files by name (by code unit, whatever order the file system lists). A plugin that is reached
 * twice counts once, at its first place, and may be allowlisted by each of its names. What cannot be found or may not
 * be used is a candidate with a `problem`; nothing is thrown.
 *
 * Source: the plugin document, heading "Load Order".
 *
 * @example
 * ```ts
 * discover({ specifiers: ['@acme/guard#Guard'], dirs: ['plugins'], cwd: process.cwd() });
 * ```
 */
export function discover({ specifiers, dirs, cwd }: DiscoveryOptions): PluginCandidate[] {
  const items = dirs.flatMap((dir) => scanFolder(dir, cwd));
  return mergeRepeated([
    ...specifiers.map((text) => specifierCandidate(text, items, cwd)),
    ...items.map((item) =>
      candidate('folder', item.specifiers, () => ({ ...item.locate(), exportName: null })),
    ),
  ]);
}

/** The specifier of something in a plugins folder means that, also where it reads like a package's. */
function specifierCandidate(text: string, items: readonly FolderItem[], cwd: string): PluginCandidate {
  return candidate('env', [text], () => {
    const specifier = parseSpecifier(text);
    const item = items.find(({ specifiers }) => specifiers.includes(specifier.module));
    if (item === undefined) return resolveSpecifier(specifier, cwd);
    return { ...item.locate(), exportName: specifier.exportName };
  });
}

function candidate(
  source: PluginCandidate['source'],
  specifiers: readonly [string, ...string[]],
  locate: () => ResolvedSpecifier,
): PluginCandidate {
  const [specifier] = specifiers;
  try {
    const { packageName, ...location } = locate();
    const names = namesOf(specifiers, packageName);
    return Object.freeze({ specifier, names, source, ...location, problem: null });
  } catch (thrown) {
    const known = thrown instanceof NoEntryError ? thrown.known : { packageName: null, manifest: null };
    const problem = asProblem(specifier, thrown instanceof NoEntryError ? thrown.cause : thrown);
    const nowhere = { root: null, entry: null, isFile: false, exportName: null };
    const names = namesOf(specifiers, known.packageName);
    return Object.freeze({ specifier, names, source, ...nowhere, manifest: known.manifest, problem });
  }
}

function namesOf(specifiers: readonly string[], packageName: string | null): readonly string[] {
  return Object.freeze([...new Set([...specifiers, ...(packageName === null ? [] : [packageName])])]);
}

/** What the file system throws carries absolute paths: it goes to the log only, as the cause. */
function asProblem(specifier: string, thrown: unknown): GatewayError {
  if (isGatewayError(thrown)) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'an unknown error';
  return new PluginLoadError(`Plugin "${specifier}" cannot be read: ${code}`, { cause: thrown });
}

function mergeRepeated(candidates: readonly PluginCandidate[]): PluginCandidate[] {
  const merged: PluginCandidate[] = [];
  for (const candidate of candidates) {
    const repeated = merged.filter((earlier) => isSame(earlier, candidate));
    if (repeated.length === 0) merged.push(candidate);
    for (const earlier of repeated) {
      const names = Object.freeze([...new Set([...earlier.names, ...candidate.names])]);
      merged[merged.indexOf(earlier)] = Object.freeze({ ...earlier, names });
    }
  }
  return merged;
}

/** A plugins folder names no export: it means whatever exports the operator has named already. */
function isSame(earlier: PluginCandidate, later: PluginCandidate): boolean {
  if (earlier.entry === null || later.entry === null) return earlier.specifier === later.specifier;
  if (earlier.entry !== later.entry) return false;
  const [named, again] = [earlier.exportName ?? 'default', later.exportName ?? 'default'];
  return later.source === 'folder' || named === again;
}
