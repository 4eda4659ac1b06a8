import { type FSWatcher, watch } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { treeStamp } from '../discovery/file-tree.ts';
import { scanFolder } from '../discovery/folder-scan.ts';

export interface FolderWatcherOptions {
  /** `LLMROUTER_PLUGINS_DIR`, as written. */
  readonly dirs: readonly string[];
  readonly cwd: string;
  /** Told of the specifiers of plugins that appeared, changed or vanished. Is not called again before it has settled. */
  readonly onChange: (specifiers: ReadonlySet<string>) => Promise<void>;
  /** A look at the folders failed; the next one may not. */
  readonly onFailure: (error: unknown) => void;
  /** How often to look without having been told. Default: 1 s. */
  readonly pollMs?: number;
  /** How long nothing may change before it is acted upon. Default: 300 ms. */
  readonly settleMs?: number;
}

const GONE = 'gone';

/** Stamps of plugins' files by specifier. */
type Stamps = ReadonlyMap<string, string>;

/**
 * Watches folders of plugins. The operating system's notices only make it faster: bind mounts of Docker, network file
 * systems and links have none, so the folders are looked at regularly all the same.
 *
 * A change counts once nothing has changed for a while, so that a plugin is not loaded in the middle of a copy.
 */
export class FolderWatcher {
  readonly #options: Required<FolderWatcherOptions>;
  readonly #notices: FSWatcher[] = [];
  /** What was acted upon last. */
  #known: Stamps = new Map();
  /** What has changed since, as the last look found it; acted upon when the next one finds the same. */
  #settling: Stamps = new Map();
  #timer: NodeJS.Timeout | null = null;
  #look: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: FolderWatcherOptions) {
    this.#options = { pollMs: 1000, settleMs: 300, ...options };
  }

  /** Takes what the folders hold for known. To be called before the plugins are loaded, so that no change is missed. */
  async prepare(): Promise<void> {
    this.#known = await this.#stamp();
  }

  start(): void {
    const { dirs, cwd, pollMs } = this.#options;
    for (const dir of dirs) this.#listen(resolve(cwd, dir));
    this.#schedule(pollMs);
  }

  /** Resolves when nothing is being acted upon any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const notice of this.#notices) notice.close();
    await this.#look;
  }

  #listen(folder: string): void {
    try {
      const notice = watch(folder, { persistent: false }, () => this.#schedule(this.#options.settleMs));
      // A folder that goes away, or a system that runs out of watches: the regular look remains.
      notice.on('error', () => notice.close());
      this.#notices.push(notice);
    } catch {
      // There is no such folder yet, or no such notices.
    }
  }

  /** A notice makes the next look come sooner, never later: a file that changes all the time must not hold it off. */
  #schedule(afterMs: number): void {
    if (this.#isStopped || (this.#timer !== null && afterMs >= this.#options.pollMs)) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#look = this.#lookAround();
    }, afterMs);
    this.#timer.unref();
  }

  async #lookAround(): Promise<void> {
    const { pollMs, settleMs, onFailure } = this.#options;
    let isSettling = false;
    try {
      isSettling = await this.#compare();
    } catch (error) {
      onFailure(error);
    }
    this.#timer = null;
    this.#schedule(isSettling ? settleMs : pollMs);
  }

  /** True: something has changed and may change still. */
  async #compare(): Promise<boolean> {
    const now = await this.#stamp();
    const changed = difference(this.#known, now);
    if (changed.size === 0) return false;
    const before = this.#settling;
    this.#settling = await this.#stampWhole(changed);
    // Each plugin settles for itself: one that is written to for ever does not hold up the others.
    const settled = new Set([...changed].filter((name) => before.get(name) === this.#settling.get(name)));
    if (settled.size > 0 && !this.#isStopped) {
      this.#known = merge(this.#known, now, settled);
      await this.#options.onChange(settled);
    }
    return settled.size < changed.size;
  }

  /** A look that costs little: what is installed is not part of it. */
  async #stamp(): Promise<Stamps> {
    const isInstalled = (_path: string, name: string): boolean => name === 'node_modules';
    const stamps = this.#items().map(
      async ([name, path]) => [name, await stampOf(path, isInstalled)] as const,
    );
    return new Map(await Promise.all(stamps));
  }

  /** All files of some plugins; {@link GONE} for one that is not there. */
  async #stampWhole(names: ReadonlySet<string>): Promise<Stamps> {
    const paths = new Map(this.#items());
    const stamps = [...names].map(async (name) => {
      const path = paths.get(name);
      return [name, path === undefined ? GONE : await stampOf(path)] as const;
    });
    return new Map(await Promise.all(stamps));
  }

  #items(): (readonly [specifier: string, path: string])[] {
    const { dirs, cwd } = this.#options;
    return dirs
      .flatMap((dir) => scanFolder(dir, cwd))
      .map(({ specifiers: [specifier], path }) => [specifier, path] as const);
  }
}

/** What is in the middle of being written may go between two system calls: that is a change like any other. */
async function stampOf(path: string, skips?: (path: string, name: string) => boolean): Promise<string> {
  try {
    const root = await realpath(path);
    const isFile = (await stat(root)).isFile();
    return await treeStamp({ root, entry: root, isFile }, skips);
  } catch (error) {
    return `unreadable: ${String(error)}`;
  }
}

function difference(before: Stamps, after: Stamps): ReadonlySet<string> {
  const specifiers = new Set([...before.keys(), ...after.keys()]);
  return new Set([...specifiers].filter((specifier) => before.get(specifier) !== after.get(specifier)));
}

/** `known`, but for what `settled` names, which is as in `now`. */
function merge(known: Stamps, now: Stamps, settled: ReadonlySet<string>): Stamps {
  const merged = new Map(known);
  for (const specifier of settled) {
    const stamp = now.get(specifier);
    if (stamp === undefined) merged.delete(specifier);
    else merged.set(specifier, stamp);
  }
  return merged;
}
