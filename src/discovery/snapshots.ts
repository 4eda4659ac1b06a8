import { constants, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { copyFile, mkdir, readdir, readlink, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { PluginLoadError } from '../errors.ts';
import { treeDigest, walkPlugin } from './file-tree.ts';
import { isInside } from './files.ts';
import { isAbsent, readPackageJson } from './package-json.ts';
import { type CopiedFrom, resolveInCopies } from './snapshot-resolution.ts';
import type { PluginCandidate } from './types.ts';

/** A plugin's files as they were at one moment. */
export interface Snapshot {
  /** The plugin with its files in the copy, ready to be imported. */
  readonly candidate: PluginCandidate;
  /** Of its bytes: see `treeDigest`. */
  readonly digest: string;
  /** The folder that the copy lies in, alone. */
  readonly dir: string;
}

export interface SnapshotOptions {
  /** Folder for the copies. Default: the system's temporary one. */
  readonly parent?: string;
  /** Real path of one file that is no plugin's, wherever it lies: the lock file. */
  readonly except?: string | null;
}

interface Copy extends CopiedFrom {
  readonly digest: string;
}

/** Folders of one process: `<prefix><pid>-<random>`. */
const PREFIX = 'routeiq-plugins-';

/**
 * Keeps versions of plugins. Node loads a module once per path, and its helper modules with it: only files at another
 * path are read anew. So every version that is loaded beside an earlier one gets a copy of its own, below a folder of
 * the system's temporary one, which a read-only root file system has too.
 *
 * What a copy imports is found where it would be at the original place, but for what lies inside of the copy.
 */
export class Snapshots {
  readonly #options: SnapshotOptions;
  readonly #copies: Copy[] = [];
  #base: string | null = null;
  #count = 0;
  #uninstall: (() => void) | null = null;

  constructor(options: SnapshotOptions = {}) {
    this.#options = options;
  }

  /**
   * Copies a plugin's files. `candidate` may be that of an earlier snapshot: importing a copy twice would give the same
   * modules again, a copy of the copy gives new ones.
   *
   * @throws PluginLoadError `plugin_load`: the files cannot be read, or not be written
   */
  async take(candidate: PluginCandidate): Promise<Snapshot> {
    const { specifier, root, entry } = candidate;
    if (root === null || entry === null) throw new PluginLoadError(`Plugin "${specifier}" has no files`);
    try {
      return await this.#copy(candidate, root, entry);
    } catch (cause) {
      if (cause instanceof PluginLoadError) throw cause;
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an unknown error';
      throw new PluginLoadError(`Plugin "${specifier}": its files cannot be copied (${code})`, { cause });
    }
  }

  /** The digest of a plugin's files where they are now, comparable to that of a snapshot. */
  digest(candidate: PluginCandidate): Promise<string> {
    return treeDigest(candidate, this.#skips);
  }

  /** What a candidate's files are a copy of; `null`: they are where they belong. */
  sourceOf({ root }: PluginCandidate): CopiedFrom | null {
    const known = this.#copies.find(({ copy }) => copy === root);
    return known === undefined ? null : { copy: known.copy, origin: known.origin, importer: known.importer };
  }

  /** Forgets a version: nothing of it is going to be imported any more. Never rejects. */
  async drop({ dir }: Snapshot): Promise<void> {
    const index = this.#copies.findIndex(({ copy }) => isInside(dir, copy));
    if (index >= 0) this.#copies.splice(index, 1);
    await rm(dir, { recursive: true, force: true }).catch(() => undefined);
  }

  /** Removes all copies. */
  close(): void {
    this.#uninstall?.();
    this.#uninstall = null;
    this.#copies.length = 0;
    if (this.#base !== null) rmSync(this.#base, { recursive: true, force: true });
    this.#base = null;
  }

  async #copy(candidate: PluginCandidate, root: string, entry: string): Promise<Snapshot> {
    const dir = join(this.#open(), String(++this.#count));
    const copy = join(dir, basename(root) || 'plugin');
    const source = this.#copies.find((known) => known.copy === root);
    const origin = source?.origin ?? root;
    // Before the copy: files that change meanwhile differ from it at the next look.
    const digest = source?.digest ?? (await this.digest(candidate));
    await mkdir(copy, { recursive: true });
    await keepModuleType(dir, origin, candidate.specifier);
    if (candidate.isFile) await copySingleFile(entry, origin, copy);
    else await copyFolder(candidate, root, copy, this.#skips);
    const real = await realpath(copy);
    const importer = join(candidate.isFile ? origin : dirname(origin), 'importer.js');
    this.#copies.push({ copy: real, origin, importer, digest });
    const moved = { ...candidate, root: real, entry: join(real, relative(root, entry)) };
    return Object.freeze({ candidate: Object.freeze(moved), digest, dir });
  }

  #open(): string {
    if (this.#base !== null) return this.#base;
    const parent = realpathSync(this.#options.parent ?? tmpdir());
    removeLeftovers(parent);
    this.#base = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`));
    this.#uninstall = resolveInCopies(this.#copies);
    return this.#base;
  }

  /** A plugin's root may be so far up that the copies lie below it. */
  readonly #skips = (path: string): boolean => path === this.#base || path === this.#options.except;
}

async function copyFolder(
  candidate: PluginCandidate,
  root: string,
  copy: string,
  skips: (path: string) => boolean,
): Promise<void> {
  for await (const { path, name, kind } of walkPlugin(candidate, skips)) {
    const target = join(copy, name);
    if (kind === 'folder') await mkdir(target, { recursive: true });
    else if (kind === 'link') await copyLink(path, target, root, copy);
    // Where the file system can, the two share their blocks.
    else await copyFile(path, target, constants.COPYFILE_FICLONE);
  }
}

/** A link inside of the plugin leads to the copy of its target, any other one to where it led. */
async function copyLink(path: string, target: string, root: string, copy: string): Promise<void> {
  const text = await readlink(path);
  const real = await realpathOrNull(path);
  const inside = real !== null && isInside(root, real);
  if (real === null || (inside && !isAbsolute(text))) await symlink(text, target);
  else await symlink(inside ? relative(dirname(target), join(copy, relative(root, real))) : real, target);
}

/** What lies beside a single file is not its own, but it may import or read it: it is found through links. */
async function copySingleFile(entry: string, origin: string, copy: string): Promise<void> {
  await copyFile(entry, join(copy, basename(entry)));
  for (const name of await readdir(origin)) {
    if (name !== basename(entry)) await symlink(join(origin, name), join(copy, name));
  }
}

/** `.js` means what the nearest package.json above says. */
async function keepModuleType(dir: string, origin: string, specifier: string): Promise<void> {
  const { type } = nearestPackage(dirname(origin), specifier);
  await writeFile(join(dir, 'package.json'), JSON.stringify(typeof type === 'string' ? { type } : {}));
}

function nearestPackage(folder: string, specifier: string): Readonly<Record<string, unknown>> {
  if (existsSync(join(folder, 'package.json'))) return readPackageJson(folder, specifier) ?? {};
  const parent = dirname(folder);
  return parent === folder ? {} : nearestPackage(parent, specifier);
}

async function realpathOrNull(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** What processes left behind that were killed. */
function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = Number(new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]);
    if (!Number.isInteger(pid) || isAlive(pid)) continue;
    try {
      rmSync(join(parent, name), { recursive: true, force: true });
    } catch {
      // Another user's.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
