import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { PluginLoadError, PluginSecurityError } from '../errors.ts';
import { folderEntry, manifestEntry } from './entry.ts';
import { CODE_EXTENSIONS, findCodeFile, realPathInside, statOrNull } from './files.ts';
import { parseManifest } from './manifest.ts';
import { resolveLikeImport } from './node-resolve.ts';
import { packageName, readPackageJson } from './package-json.ts';
import type { Specifier, SpecifierReading } from './specifier.ts';
import type { PluginManifest } from './types.ts';

/** The files of one plugin. All paths are real paths. */
export interface PluginLocation {
  readonly root: string;
  readonly entry: string;
  readonly isFile: boolean;
  /** The package that the plugin is; `null` for a file, or a folder without a package.json. */
  readonly packageName: string | null;
  readonly manifest: PluginManifest | null;
}

/** A location, and the export to take from it. */
export interface ResolvedSpecifier extends PluginLocation {
  readonly exportName: string | null;
}

/**
 * Finds the files that a specifier means: the first of its readings that exists.
 *
 * @throws PluginLoadError `plugin_load`: nothing is there, or there is no entry point, or a bad package.json
 * @throws PluginSecurityError `plugin_security`: a link or a field of package.json leads out of the plugin's folder
 */
export function resolveSpecifier(specifier: Specifier, cwd: string): ResolvedSpecifier {
  for (const reading of specifier.readings) {
    const location =
      reading.kind === 'path'
        ? locatePath(reading.module, specifier.text, cwd)
        : locatePackage(reading.module, specifier.text, cwd);
    if (location !== null) return { ...location, exportName: reading.exportName };
  }
  throw new PluginLoadError(
    `Plugin "${specifier.text}" was not found: there is no ${specifier.readings.map(describe).join(' and no ')}`,
    { hint: 'Install the package, or correct the path; paths begin in the working directory.' },
  );
}

/**
 * A folder as a plugin.
 *
 * @param folder - real path
 * @throws PluginLoadError `plugin_load`
 * @throws PluginSecurityError `plugin_security`
 */
export function locateFolder(folder: string, specifier: string): PluginLocation {
  const pkg = readPackageJson(folder, specifier);
  const manifest = pkg === null ? null : parseManifest(pkg, specifier);
  const known = { packageName: packageName(pkg), manifest };
  try {
    return { root: folder, entry: folderEntry(folder, pkg, specifier), isFile: false, ...known };
  } catch (cause) {
    throw new NoEntryError(known, cause);
  }
}

/** A plugin without a usable entry point: what its package.json says of it is known all the same. */
export class NoEntryError extends Error {
  readonly known: Pick<PluginLocation, 'packageName' | 'manifest'>;

  constructor(known: NoEntryError['known'], cause: unknown) {
    super('no entry point', { cause });
    this.known = known;
  }
}

function describe({ kind, module }: SpecifierReading): string {
  return kind === 'path' ? `file or folder "${module}"` : `package module "${module}"`;
}

function locatePath(path: string, specifier: string, cwd: string): PluginLocation | null {
  const absolute = resolve(cwd, path);
  const found = statOrNull(absolute)?.isDirectory() ? absolute : findCodeFile(absolute);
  if (found === null) return null;
  if (found === resolve(cwd)) return locateFolder(realpathSync(found), specifier);
  if (!path.startsWith('/')) realPathInside(cwd, found, specifier);
  const real = realPathInside(dirname(found), found, specifier);
  return found === absolute && statOrNull(real)?.isDirectory()
    ? locateFolder(real, specifier)
    : locateFile(real, specifier);
}

/** A file that is the entry of a package with a manifest is that package: naming it does not shed the manifest. */
function locateFile(file: string, specifier: string): PluginLocation {
  const owner = ancestors(dirname(file)).find((folder) => statOrNull(join(folder, 'package.json')) !== null);
  if (owner !== undefined && isManifestEntry(owner, file, specifier)) return locateFolder(owner, specifier);
  return { root: dirname(file), entry: file, isFile: true, packageName: null, manifest: null };
}

function isManifestEntry(folder: string, file: string, specifier: string): boolean {
  const pkg = readPackageJson(folder, specifier);
  return pkg?.llmrouter !== undefined && folderEntry(folder, pkg, specifier) === file;
}

function locatePackage(module: string, specifier: string, cwd: string): PluginLocation | null {
  const [, name, subPath] = /^((?:@[^/]+\/)?[^/@.][^/]*)(?:\/(.+))?$/.exec(module) ?? [];
  const root = name === undefined ? null : packageRoot(name, specifier, cwd);
  if (name === undefined || root === null) return null;
  const location =
    subPath === undefined
      ? locatePackageMain(name, root, specifier, cwd)
      : locatePackageModule(module, root, specifier, cwd);
  // Not the name that its package.json claims: the operator's allowlist means the package installed under this name.
  return location === null ? null : { ...location, packageName: name };
}

function locatePackageMain(name: string, root: string, specifier: string, cwd: string): PluginLocation {
  const pkg = readPackageJson(root, specifier);
  const found = pkg === null || manifestEntry(pkg) !== null ? null : importedFile(name, specifier, cwd);
  if (pkg === null || found === null) return locateFolder(root, specifier);
  const entry = realPathInside(root, found, specifier);
  return { root, entry, isFile: false, packageName: name, manifest: parseManifest(pkg, specifier) };
}

function locatePackageModule(
  module: string,
  root: string,
  specifier: string,
  cwd: string,
): PluginLocation | null {
  for (const ending of [
    '',
    ...CODE_EXTENSIONS,
    ...CODE_EXTENSIONS.map((extension) => `/index${extension}`),
  ]) {
    const found = importedFile(module + ending, specifier, cwd);
    if (found === null) continue;
    const entry = realPathInside(root, found, specifier);
    if (isManifestEntry(root, entry, specifier)) return locateFolder(root, specifier);
    return { root, entry, isFile: false, packageName: null, manifest: null };
  }
  return null;
}

/** Node's resolution, with its refusals in our words: they name absolute paths. */
function importedFile(module: string, specifier: string, cwd: string): string | null {
  try {
    return resolveLikeImport(module, cwd);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an unknown error';
    if (code === 'ERR_INVALID_PACKAGE_TARGET') {
      throw new PluginSecurityError(
        'plugin_security',
        `Plugin "${specifier}": "exports" of its package.json leads out of the package`,
        { cause },
      );
    }
    throw new PluginLoadError(`Plugin "${specifier}": Node cannot resolve "${module}" (${code})`, { cause });
  }
}

/**
 * The real folder of a package: the one that the working directory is part of, else what is installed in a
 * `node_modules` from there upwards. A link to it is ordinary (npm workspaces, pnpm).
 */
function packageRoot(name: string, specifier: string, cwd: string): string | null {
  const folders = ancestors(cwd);
  const own = folders.find((folder) => statOrNull(join(folder, 'package.json')) !== null);
  if (own !== undefined && packageName(readPackageJson(own, specifier)) === name) return realpathSync(own);
  const installed = folders
    .filter((folder) => basename(folder) !== 'node_modules')
    .map((folder) => join(folder, 'node_modules', name))
    .find((folder) => statOrNull(folder)?.isDirectory());
  return installed === undefined ? null : realpathSync(installed);
}

/** `folder` and all folders above it, nearest first. */
function ancestors(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}
