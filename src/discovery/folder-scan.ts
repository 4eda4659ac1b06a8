import { readdirSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { isGatewayError, PluginLoadError } from '../errors.ts';
import { CODE_EXTENSIONS, realPathInside, statOrNull } from './files.ts';
import { locateFolder, type PluginLocation } from './resolve.ts';
import { refuseUnsafe } from './specifier.ts';

/** The folder that is looked into when none is named; only this one may be missing. */
/** One thing in a plugins folder that should be a plugin. */
export interface FolderItem {
  /** Its specifier, `<folder>/<name>`, then other spellings of it. */
  readonly specifiers: readonly [string, ...string[]];
  /** Absolute; links are not followed. */
  readonly path: string;
  /**
   * Finds its files.
   *
   * @throws PluginLoadError `plugin_load`
   * @throws PluginSecurityError `plugin_security`
   */
  locate(): PluginLocation;
}

/**
 * What a plugins folder holds, sorted by name: each sub-folder and each code file. Hidden files, `node_modules`,
 * declarations (`.d.ts`), tests (`.test.*`) and files of other kinds are passed over. A folder that cannot be read is
 * one item that says so; one that is not there holds nothing.
 *
 * @param dir - as the operator wrote it
 */
export function scanFolder(dir: string, cwd: string): FolderItem[] {
  const path = resolve(cwd, dir);
  try {
    refuseUnsafe(dir);
    const names = readdirSync(path).filter((name) => mayBePlugin(name, join(path, name)));
    return names.sort().map((name) => folderItem(dir, path, name, names));
  } catch (error) {
    // A file in its place is another matter.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    return [unreadable(dir, path, error)];
  }
}

function mayBePlugin(name: string, path: string): boolean {
  if (name.startsWith('.') || name === 'node_modules') return false;
  if (isCode(name)) return !/\.(d|test)\.[a-z]+$/.test(name);
  // A broken link counts as a folder: its owner meant something by it and has to hear that it leads nowhere.
  return statOrNull(path)?.isDirectory() ?? true;
}

function isCode(name: string): boolean {
  return CODE_EXTENSIONS.includes(extname(name));
}

function folderItem(dir: string, folder: string, name: string, siblings: readonly string[]): FolderItem {
  const specifiers = spellings(dir, name, siblings);
  const [specifier] = specifiers;
  const path = join(folder, name);
  return { specifiers, path, locate: () => locateItem(folder, path, specifier) };
}

/** `./plugins/` names the folder `plugins`; `plugins/x` is `plugins/x.ts` while nothing else there goes by that name. */
function spellings(dir: string, name: string, siblings: readonly string[]): [string, ...string[]] {
  const folders = [
    ...new Set([dir.replace(/^(\.\/+)+(?=.)/, ''), dir].map((text) => text.replace(/(?<=.)\/+$/, ''))),
  ];
  const stem = name.slice(0, -extname(name).length);
  const short = isCode(name) && siblings.filter((other) => isNamed(other, stem)).length === 1;
  const [first = dir, ...others] = folders;
  const rest = [
    ...others.map((folder) => `${folder}/${name}`),
    ...(short ? folders.map((folder) => `${folder}/${stem}`) : []),
  ];
  return [`${first}/${name}`, ...rest];
}

function isNamed(name: string, stem: string): boolean {
  return name === stem || (isCode(name) && name.slice(0, -extname(name).length) === stem);
}

function locateItem(folder: string, path: string, specifier: string): PluginLocation {
  refuseUnsafe(specifier);
  const stats = statOrNull(path);
  if (stats === null) throw new PluginLoadError(`Plugin "${specifier}" is a link that leads nowhere`);
  const real = realPathInside(folder, path, specifier);
  if (stats.isDirectory()) return locateFolder(real, specifier);
  if (stats.isFile()) {
    return { root: dirname(real), entry: real, isFile: true, packageName: null, manifest: null };
  }
  throw new PluginLoadError(`Plugin "${specifier}" is neither a file nor a folder`);
}

function unreadable(dir: string, path: string, error: unknown): FolderItem {
  const problem = isGatewayError(error)
    ? error
    : new PluginLoadError(`The plugin folder "${dir}" cannot be read`, {
        hint: 'Create the folder, or correct LLMROUTER_PLUGINS_DIR.',
        cause: error,
      });
  return {
    specifiers: [dir],
    path,
    locate: () => {
      throw problem;
    },
  };
}
