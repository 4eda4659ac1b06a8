import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, opendir, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { PluginSecurityError } from '../errors.ts';
import { isInside } from './files.ts';
import { isAbsent } from './package-json.ts';
import type { PluginCandidate } from './types.ts';

/** What one plugin may have at most, all files and folders below its root counted. */
const LIMITS = { entries: 100_000, bytes: 1024 ** 3 };
const CHUNK_BYTES = 256 * 1024;
/** A file that was swapped for a link since it was listed is not followed, one swapped for a pipe is not waited for. */
const READ_ONLY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The bytes of a plugin, in short. */
export interface PluginDigest {
  /** `sha256-` and base64, over all of `files`. */
  readonly digest: string;
  /** Path below the plugin's root, by code unit, to the digest of the file, or to `link:` and the link's text. */
  readonly files: ReadonlyMap<string, string>;
}

/** Where a plugin's bytes are. */
export type PluginFiles = Pick<PluginCandidate, 'specifier' | 'root' | 'entry' | 'isFile'>;

/**
 * Reads all that a plugin consists of: a single file, else every file below its root, of whatever kind (Node also runs
 * JSON, WebAssembly and add-ons, and a plugin may read anything as code), `node_modules` included. Runs nothing and
 * follows no link. Links have to stay inside; what is neither file, folder nor link is refused.
 *
 * @param except - absolute path of one file that does not count: the lock file, which cannot have its own digest
 * @throws PluginSecurityError `plugin_security`: the plugin cannot be digested
 */
export async function digestPlugin(plugin: PluginFiles, except: string | null): Promise<PluginDigest> {
  const { specifier, root, entry, isFile } = plugin;
  if (root === null || entry === null) throw refused(specifier, 'it has no files');
  const walk = new Walk(specifier, root, except);
  try {
    if (isFile) await walk.addFile(entry, basename(entry));
    else await walk.addFolder(root);
  } catch (error) {
    if (error instanceof PluginSecurityError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error';
    throw refused(specifier, `its files cannot be read (${code})`, error);
  }
  const files = new Map([...walk.files].sort(([a], [b]) => (a < b ? -1 : 1)));
  // JSON keeps names and digests apart: no two sets of files give one text.
  return { digest: sri(createHash('sha256').update(JSON.stringify([...files]))), files };
}

/** One walk over a plugin's files, with what it has used up of its limits. */
class Walk {
  readonly files = new Map<string, string>();
  readonly #specifier: string;
  readonly #root: string;
  readonly #except: string | null;
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #entries = 0;
  #bytes = 0;

  constructor(specifier: string, root: string, except: string | null) {
    this.#specifier = specifier;
    this.#root = root;
    this.#except = except;
  }

  async addFolder(folder: string): Promise<void> {
    for await (const item of await opendir(folder)) {
      const path = join(folder, item.name);
      const name = relative(this.#root, path).replaceAll(sep, '/');
      this.#count(name);
      if (path === this.#except) continue;
      if (item.isDirectory()) await this.addFolder(path);
      else if (item.isSymbolicLink()) await this.#addLink(path, name);
      else if (item.isFile()) await this.addFile(path, name);
      else throw this.#refuse(name, 'is neither a file nor a folder nor a link');
    }
  }

  async addFile(path: string, name: string): Promise<void> {
    const file = await open(path, READ_ONLY);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw this.#refuse(name, 'is no file any more');
      this.#bound(this.#bytes + stats.size);
      this.files.set(name, await this.#digestOf(file));
    } finally {
      await file.close();
    }
  }

  async #addLink(path: string, name: string): Promise<void> {
    const text = await readlink(path);
    const target = await this.#targetOf(path, text);
    if (target === null || (target !== this.#root && !isInside(this.#root, target)))
      throw this.#refuse(name, 'is a link that leads out of its folder');
    this.files.set(name, `link:${text}`);
  }

  /** Where a link leads; of one that leads nowhere, where it would, once something is put there. */
  async #targetOf(path: string, text: string): Promise<string | null> {
    try {
      return await realpath(path);
    } catch (error) {
      return isAbsent(error) ? resolve(dirname(path), text) : null;
    }
  }

  async #digestOf(file: FileHandle): Promise<string> {
    const hash = createHash('sha256');
    for (;;) {
      const { bytesRead } = await file.read(this.#chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) return sri(hash);
      this.#bytes += bytesRead;
      this.#bound(this.#bytes);
      hash.update(this.#chunk.subarray(0, bytesRead));
    }
  }

  /** Asked before a file is read, and as it is read: it may grow meanwhile. */
  #bound(bytes: number): void {
    if (bytes <= LIMITS.bytes) return;
    throw refused(this.#specifier, `it has more than ${LIMITS.bytes} bytes of files`);
  }

  #count(name: string): void {
    this.#entries += 1;
    if (this.#entries > LIMITS.entries)
      throw refused(this.#specifier, `it has more than ${LIMITS.entries} files and folders`);
    // What stands for bytes that are no text: two such names could look like one.
    if (name.includes('\uFFFD')) throw this.#refuse(name, 'has a name that is not UTF-8');
  }

  #refuse(name: string, what: string): PluginSecurityError {
    return refused(this.#specifier, `${JSON.stringify(name)} ${what}`);
  }
}

function refused(specifier: string, why: string, cause?: unknown): PluginSecurityError {
  return new PluginSecurityError('plugin_security', `Plugin "${specifier}" cannot be locked: ${why}`, {
    cause,
  });
}

function sri(hash: Hash): string {
  return `sha256-${hash.digest('base64')}`;
}
