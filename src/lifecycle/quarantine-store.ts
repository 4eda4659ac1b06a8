import type { Logger } from 'winston';
import { z } from 'zod';
import { ROUTE_METHODS } from '../contributions.ts';
import { toError } from '../errors.ts';
import type { Storage, StorageValue } from '../plugin-api/storage.ts';
import type { QuarantineBoard } from './quarantine-board.ts';
import type { Silhouette } from './silhouette.ts';

/** A sticky quarantine as it is kept across restarts. */
export interface StoredQuarantine {
  /** Epoch milliseconds. */
  readonly since: number;
  readonly cause: string;
  readonly code: string;
  readonly silhouette: Silhouette | null;
  /** Set: its code is not even imported. A plugin is recognised by it before its own name is known. */
  readonly specifier?: string | undefined;
}

/** A stored quarantine of a plugin whose code is not imported. */
export interface HeldPlugin {
  readonly name: string;
  readonly specifier: string;
  readonly quarantine: StoredQuarantine;
}

/** What has to be kept shut, as it is stored. */
export const SILHOUETTE: z.ZodType<Silhouette> = z.object({
  routes: z.array(z.object({ method: z.enum([...ROUTE_METHODS, 'mount']), path: z.string() })),
  authProviders: z.array(z.string()),
  blockEvaluators: z.array(z.object({ name: z.string(), input: z.boolean(), output: z.boolean() })),
  middleware: z.boolean(),
  hooks: z.boolean(),
  storageBackend: z.boolean(),
});

/** The store may have been written by another version. */
const STORED: z.ZodType<StoredQuarantine> = z.object({
  since: z.number(),
  cause: z.string(),
  code: z.string(),
  silhouette: z.nullable(SILHOUETTE),
  specifier: z.string().optional(),
});

export interface QuarantineStoreOptions {
  /** The embedded store: what it holds is needed before any plugin has started. */
  readonly storage: Storage;
  /** Where other replicas are told. */
  readonly board: QuarantineBoard;
  readonly log: Logger;
}

/** Keeps sticky quarantines across restarts, by plugin name, and tells other replicas of them. */
export class QuarantineStore {
  readonly #storage: Storage;
  readonly #board: QuarantineBoard;
  readonly #log: Logger;

  constructor({ storage, board, log }: QuarantineStoreOptions) {
    this.#storage = storage;
    this.#board = board;
    this.#log = log;
  }

  /** @throws ZodError when the entry is none: what cannot be read must not pass for a release */
  async load(name: string): Promise<StoredQuarantine | null> {
    const value = await this.#storage.get(name);
    return value === undefined ? null : STORED.parse(value);
  }

  /**
   * Plugins whose code must not be imported.
   *
   * @throws ZodError when an entry is none
   */
  async held(): Promise<readonly HeldPlugin[]> {
    const found: HeldPlugin[] = [];
    for (const name of await this.#storage.list()) {
      const quarantine = await this.load(name);
      if (quarantine?.specifier === undefined) continue;
      found.push({ name, specifier: quarantine.specifier, quarantine });
    }
    return found;
  }

  /** Never rejects: the quarantine holds in this process whatever the store says, but that must not go unnoticed. */
  async save(name: string, quarantine: StoredQuarantine): Promise<void> {
    await this.#logged(name, 'it will not survive a restart', async () => {
      // One quarantine on top of another must not let the code run that the first keeps from it.
      const specifier = quarantine.specifier ?? (await this.load(name))?.specifier;
      const entry = specifier === undefined ? quarantine : { ...quarantine, specifier };
      await this.#storage.set(name, entry as unknown as StorageValue);
    });
    await this.#logged(name, 'other replicas do not follow', () => this.#board.post(name, quarantine));
  }

  /** @throws when a store cannot forget it: a release that a restart or another replica would undo is none */
  async remove(name: string): Promise<void> {
    await this.#board.remove(name);
    await this.#storage.delete(name);
  }

  async #logged(plugin: string, effect: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#log.error(`the quarantine could not be stored; ${effect}`, {
        event: 'quarantine_not_stored',
        plugin,
        error: toError(error),
      });
    }
  }
}
