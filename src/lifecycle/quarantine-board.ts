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
  /** A plugin's backend; `null` while there is none: nothing is shared then. */
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
    return new Map(Object.entries(parse(await storage.get(KEY))));
  }

  /** @throws GatewayError `storage_unavailable` */
  async post(plugin: string, { since, cause }: PostedQuarantine): Promise<void> {
    await this.#change(plugin, (postings) => ({ ...postings, [plugin]: { since, cause } }));
  }

  /** @throws GatewayError `storage_unavailable` */
  async remove(plugin: string): Promise<void> {
    await this.#change(plugin, ({ [plugin]: _gone, ...others }) => others);
  }

  async #change(plugin: string, change: (postings: Postings) => Postings): Promise<void> {
    const storage = this.#options.storage();
    if (storage === null || this.#options.keepsStore(plugin)) return;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const before = await storage.get(KEY);
      if (await storage.compareAndSet(KEY, before, change(parse(before)))) return;
    }
    throw new GatewayError('storage_unavailable', 'The quarantines are being changed by others: try again');
  }
}

function parse(value: StorageValue | undefined): Postings {
  return value === undefined ? {} : POSTINGS.parse(value);
}
