import type { Logger } from 'winston';
import { toError } from '../errors.ts';
import type { PostedQuarantine, QuarantineBoard } from '../lifecycle/quarantine-board.ts';
import type { PluginRecord } from '../lifecycle/record.ts';

export interface QuarantineFollowerOptions {
  readonly board: QuarantineBoard;
  readonly find: (plugin: string) => PluginRecord | undefined;
  /** As an operator does it. */
  readonly quarantine: (record: PluginRecord, cause: string) => Promise<void>;
  readonly release: (plugin: string) => Promise<unknown>;
  readonly log: Logger;
  /** Milliseconds between two looks. */
  readonly intervalMs: number;
}

/** Keeps this replica's sticky quarantines in step with those of others that share a store. */
export class QuarantineFollower {
  readonly #options: QuarantineFollowerOptions;
  /** What was on the board at the last look: only what was there can be gone. */
  #seen: ReadonlyMap<string, PostedQuarantine> = new Map();
  #isBlind = false;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(options: QuarantineFollowerOptions) {
    this.#options = options;
  }

  /** Looks once, and from then on again and again. Never rejects. */
  async begin(): Promise<void> {
    this.#looking = this.#look();
    await this.#looking;
    if (this.#isOver) return;
    this.#timer = setTimeout(() => void this.begin(), this.#options.intervalMs);
  }

  /** Resolves when the last look is over. */
  async end(): Promise<void> {
    this.#isOver = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const posted = await this.#options.board.read();
      this.#isBlind = false;
      if (posted !== null && !this.#isOver) await this.#compare(posted);
    } catch (error) {
      if (!this.#isBlind) this.#warn('quarantines of other replicas cannot be seen', error);
      // Said once: the store's own plugin says the rest.
      this.#isBlind = true;
    }
  }

  async #compare(posted: ReadonlyMap<string, PostedQuarantine>): Promise<void> {
    const before = this.#seen;
    this.#seen = posted;
    for (const [plugin, { cause }] of posted) {
      if (!before.has(plugin)) await this.#followQuarantine(plugin, cause);
    }
    for (const plugin of before.keys()) {
      if (!posted.has(plugin)) await this.#followRelease(plugin);
    }
  }

  async #followQuarantine(plugin: string, cause: string): Promise<void> {
    const record = this.#options.find(plugin);
    if (record === undefined || isSticky(record)) return;
    if (record.state !== 'started' && record.state !== 'quarantined') return;
    await this.#options
      .quarantine(record, cause)
      .catch((error: unknown) => this.#warn(`the quarantine of "${plugin}" was not followed`, error));
  }

  async #followRelease(plugin: string): Promise<void> {
    const record = this.#options.find(plugin);
    if (record === undefined || !isSticky(record)) return;
    await this.#options
      .release(plugin)
      .catch((error: unknown) => this.#warn(`the release of "${plugin}" was not followed`, error));
  }

  #warn(message: string, error: unknown): void {
    this.#options.log.warn(message, { event: 'quarantine_not_followed', error: toError(error) });
  }
}

/** Until an operator releases it. */
function isSticky({ state, quarantine }: PluginRecord): boolean {
  return state === 'quarantined' && quarantine?.until === null;
}
