import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import type { Silhouette } from '../lifecycle/silhouette.ts';
import { CELL, PULSE_BYTES, type Suspect, type WatchMessage, type WatchOrder } from './types.ts';

/** The pulse is felt ten times within the limit, but not more often than every 20 ms nor less than every second. */
const TICKS_PER_LIMIT = 10;
const TICK_MS = { least: 20, most: 1000 };

export interface WatchdogOptions {
  readonly spotlight: SharedArrayBuffer;
  /** Folder for tombstones. Made when the first one is written. */
  readonly dir: string;
  /** The event loop may stand still for so long; 0: for ever, nobody watches. */
  readonly stallMs: number;
  /** The same while plugins are started or stopped. At least `stallMs` is used. */
  readonly patienceMs: number;
  /** The watching thread itself failed: nobody watches any more. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Has another thread watch this one. When the event loop stands still for too long, that thread finds out who holds it
 * up, leaves a {@link Tombstone} and ends the process: nothing in a process can end JavaScript that does not return
 * and leave the rest of it intact.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #pulse = new SharedArrayBuffer(PULSE_BYTES);
  readonly #cells = new Int32Array(this.#pulse);
  #worker: Worker | null = null;
  #heart: NodeJS.Timeout | undefined;
  #imports = 0;
  #patient = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    const { spotlight, dir, stallMs, onFailure } = this.#options;
    if (stallMs === 0) return;
    const tickMs = Math.min(TICK_MS.most, Math.max(TICK_MS.least, Math.floor(stallMs / TICKS_PER_LIMIT)));
    const order: WatchOrder = { pulse: this.#pulse, spotlight, dir, tickMs };
    // Nothing of the environment, and no preloaded modules: whatever they do, they did it in this thread.
    this.#worker = new Worker(threadUrl(), { workerData: order, env: {}, execArgv: [], name: 'watchdog' });
    this.#worker.on('error', onFailure);
    this.#worker.unref();
    this.#beat();
    this.#heart = setInterval(() => this.#beat(), tickMs);
    this.#heart.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#heart);
    Atomics.store(this.#cells, CELL.LIMIT_MS, 0);
    await this.#worker?.terminate();
    this.#worker = null;
  }

  /** Makes somebody known who may be to blame one day. */
  suspect(suspect: Suspect): void {
    this.#tell({ kind: 'suspect', suspect });
  }

  /** Forgets somebody whose code runs no more. */
  forget(id: number): void {
    this.#tell({ kind: 'cleared', id });
  }

  /** What has to stay shut if the plugin of this name is left out of the next start. */
  outline(name: string, silhouette: Silhouette): void {
    this.#tell({ kind: 'outline', name, silhouette });
  }

  /** Runs an import, for whose length its module is to blame for whatever nobody else is. */
  async duringImport<T>(module: Omit<Suspect, 'id'>, load: () => Promise<T>): Promise<T> {
    const id = -++this.#imports;
    this.suspect({ ...module, id });
    Atomics.store(this.#cells, CELL.IMPORTING, id);
    try {
      return await load();
    } finally {
      Atomics.store(this.#cells, CELL.IMPORTING, 0);
      this.#tell({ kind: 'cleared', id });
    }
  }

  /** Runs what may take its time: starting and stopping plugins. */
  async patiently<T>(work: () => Promise<T>): Promise<T> {
    this.#patient++;
    this.#beat();
    try {
      return await work();
    } finally {
      this.#patient--;
      this.#beat();
    }
  }

  #beat(): void {
    // Back after its tombstone was written, in a container whose first process survives its own SIGKILL.
    if (Atomics.load(this.#cells, CELL.DOOMED) === 1) process.exit(1);
    Atomics.store(this.#cells, CELL.LIMIT_MS, this.#limitMs());
    Atomics.add(this.#cells, CELL.BEATS, 1);
  }

  #limitMs(): number {
    // At a breakpoint everything stands still.
    if (inspector.url() !== undefined) return 0;
    const { stallMs, patienceMs } = this.#options;
    return this.#patient > 0 ? Math.max(stallMs, patienceMs) : stallMs;
  }

  #tell(message: WatchMessage): void {
    this.#worker?.postMessage(message);
  }
}

/** Source or build, whichever this file is part of. */
function threadUrl(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./watchdog-thread.${extension}`, import.meta.url);
}
