import { createHash } from 'node:crypto';
import type { LlmRequest, Storage, StorageValue } from 'routeiq-gateway/plugin';

export interface AnswerStoreOptions {
  readonly storage: Storage;
  readonly ttlMs: number;
  readonly isShared: boolean;
  readonly maxEntries: number;
  readonly maxEntryBytes: number;
}

type Body = Readonly<Record<string, unknown>>;

/**
 * Answers by the digest of what they answer. There are as many slots as there may be entries, and a digest has one of
 * them: so the store never grows beyond that, and nobody has to count or to clean up.
 */
export class AnswerStore {
  readonly #options: AnswerStoreOptions;

  constructor(options: AnswerStoreOptions) {
    this.#options = options;
  }

  async find(request: LlmRequest): Promise<Body | null> {
    const digest = this.#digest(request);
    const entry = await this.#options.storage.get(this.#slot(digest));
    return isEntryOf(digest, entry) ? entry.body : null;
  }

  /** An answer that is there already is left alone: replaying it must not make it live longer. */
  async keep(request: LlmRequest, body: Body): Promise<void> {
    const { storage, ttlMs, maxEntryBytes } = this.#options;
    if (Buffer.byteLength(JSON.stringify(body)) > maxEntryBytes) return;
    const digest = this.#digest(request);
    const slot = this.#slot(digest);
    if (isEntryOf(digest, await storage.get(slot))) return;
    await storage.set(slot, { digest, body: body as StorageValue }, { ttlMs });
  }

  /** Of everything that an answer depends on. The caller is a part of it, with all that it may do. */
  #digest({ surface, model, body, identity }: LlmRequest): string {
    const caller = this.#options.isShared ? null : identity;
    return createHash('sha256')
      .update(canonical([surface, model, body, caller]))
      .digest('hex');
  }

  #slot(digest: string): string {
    return `slot:${Number.parseInt(digest.slice(0, 12), 16) % this.#options.maxEntries}`;
  }
}

function isEntryOf(
  digest: string,
  value: StorageValue | undefined,
): value is { digest: string; body: Body & StorageValue } {
  return typeof value === 'object' && value !== null && 'digest' in value && value.digest === digest;
}

/** One text for equal JSON values, whatever the order of their keys. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(',')}}`;
}
