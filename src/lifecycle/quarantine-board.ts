import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Storage, StorageValue } from '../plugin-api/storage.ts';

/** A sticky quarantine, as other replicas are told of it. */
export type PostedQuarantine = {
  /** Epoch milliseconds. */
  readonly since: number;
  readonly cause: string;
};

export interface QuarantineBoardOptions {
  /** The store that replicas share; `null` while there is none. */
  readonly storage: () => Storage | null;
  /** True for the plugin whose backend that is: what became of it cannot be told by way of it. */
  readonly keepsStore: (plugin: string) => boolean;
}

type Postings = Readonly<Record<string, PostedQuarantine>>;

const KEY = 'board';
/** Attempts of a change that others make at the same time. */
const MAX_ATTEMPTS = 20;
const POSTINGS: z.ZodType<Postings> = z.record(
  z.string(),
  z.object({ since: z.number(), cause: z.string() }),
);

/** The sticky quarantines of all replicas that share a store: one entry, so that to look at it is one read. */
export class QuarantineBoard {
  readonly #options: QuarantineBoardOptions;

  constructor(options: QuarantineBoardOptions) {
    this.#options = options;
  }

  /**
   * By plugin name; `null` when nothing is shared.
   *
   * @throws GatewayError `storage_unavailable`; ZodError when the entry is none
   */
  async read(): Promise<ReadonlyMap<string, PostedQuarantine> | null> {
    const storage = this.#options.storage();
    if (storage === null) return null;
    return new Map(Object.entries(POSTINGS.parse((await storage.get(KEY)) ?? {})));
  }

  /** @throws GatewayError `storage_unavailable`; ZodError when the entry is none: it may be a later version's */
  async post(plugin: string, { since, cause }: PostedQuarantine): Promise<void> {
    await this.#change(plugin, (entry) => ({ ...POSTINGS.parse(entry ?? {}), [plugin]: { since, cause } }));
  }

  /**
   * An entry that cannot be read has nothing of this plugin: nobody follows it.
   *
   * @throws GatewayError `storage_unavailable`
   */
  async remove(plugin: string): Promise<void> {
    await this.#change(plugin, (entry) => {
      const { [plugin]: posted, ...others } = POSTINGS.safeParse(entry).data ?? {};
      return posted === undefined ? null : others;
    });
  }

  /** @param change the entry as it shall be; `null`: as it is */
  async #change(plugin: string, change: (entry: StorageValue | undefined) => Postings | null): Promise<void> {
    const storage = this.#options.storage();
    if (storage === null || this.#options.keepsStore(plugin)) return;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const before = await storage.get(KEY);
      const after = change(before);
      if (after === null || (await storage.compareAndSet(KEY, before, after))) return;
    }
    throw new GatewayError('storage_unavailable', 'The quarantines are being changed by others: try again');
  }
}
