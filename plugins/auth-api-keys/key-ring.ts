import { randomBytes } from 'node:crypto';
import { GatewayError, type Storage, type StorageValue } from 'routeiq-gateway/plugin';
import { createSecret, digestOf } from './secret.ts';
import type { KeyDigest, KeyTerms, VirtualKey } from './virtual-key.ts';

export interface KeyRingOptions {
  readonly storage: Storage;
  /** Keys of the file. They cannot be changed here. */
  readonly staticKeys: readonly VirtualKey[];
  /** How long a key that was found is remembered, in milliseconds. */
  readonly cacheMs: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** A key, and the secret that is shown this once. */
export interface Issued {
  readonly key: VirtualKey;
  readonly secret: string;
}

interface Remembered {
  readonly key: VirtualKey;
  readonly until: number;
}

/** Keys that are remembered at most. */
const MAX_REMEMBERED = 10_000;
/** Attempts of a change that others make at the same time. */
const MAX_ATTEMPTS = 20;

/**
 * All keys. In the store, `key:<id>` is the key and `digest:<sha256>` leads to its id; a key counts only for the
 * digests that it names itself.
 */
export class KeyRing {
  readonly #storage: Storage;
  readonly #staticKeys: ReadonlyMap<string, VirtualKey>;
  readonly #staticDigests: ReadonlyMap<string, VirtualKey>;
  readonly #cacheMs: number;
  readonly #now: () => number;
  /** By digest. */
  readonly #remembered = new Map<string, Remembered>();

  constructor({ storage, staticKeys, cacheMs, now }: KeyRingOptions) {
    this.#storage = storage;
    this.#staticKeys = new Map(staticKeys.map((key) => [key.id, key]));
    this.#staticDigests = new Map(staticKeys.map((key) => [key.digests[0]?.sha256 ?? '', key]));
    this.#cacheMs = cacheMs;
    this.#now = now;
  }

  /**
   * The key that a secret belongs to; `null` when it is none of ours.
   *
   * @throws GatewayError `authentication_error` when it has expired; `storage_unavailable`
   */
  async find(secret: string): Promise<VirtualKey | null> {
    const sha256 = digestOf(secret);
    const key = this.#staticDigests.get(sha256) ?? (await this.#findStored(sha256));
    if (key === null) return null;
    const now = this.#now();
    const digest = key.digests.find((each) => each.sha256 === sha256);
    if (digest === undefined) return null;
    if (!hasPassed(key.expiresAt, now) && !hasPassed(digest.until, now)) return key;
    throw new GatewayError('authentication_error', 'The API key has expired');
  }

  /** @throws GatewayError `conflict` when the id is taken */
  async create(id: string | null, terms: KeyTerms): Promise<Issued> {
    const secret = createSecret();
    const key: VirtualKey = {
      id: id ?? `key-${randomBytes(8).toString('hex')}`,
      ...terms,
      createdAt: this.#now(),
      digests: [{ sha256: digestOf(secret), until: null }],
    };
    const isFree = !this.#staticKeys.has(key.id) && (await this.#put(undefined, key));
    if (!isFree) throw new GatewayError('conflict', `There is a key "${key.id}" already`, { param: 'id' });
    await this.#point(key);
    return { key, secret };
  }

  /** Every key, those of the file first. */
  async list(): Promise<readonly VirtualKey[]> {
    const names = await this.#storage.list('key:');
    const stored = await Promise.all(names.map((name) => this.#read(name.slice('key:'.length))));
    return [...this.#staticKeys.values(), ...stored.filter((key) => key !== null)];
  }

  /** @throws GatewayError `not_found` */
  async get(id: string): Promise<VirtualKey> {
    const key = this.#staticKeys.get(id) ?? (await this.#read(id));
    if (key !== null) return key;
    throw new GatewayError('not_found', `There is no key ${JSON.stringify(id)}`);
  }

  /**
   * Gives a key a new secret. The one before stays good for a while.
   *
   * @throws GatewayError `not_found`; `conflict` for keys of the file
   */
  async rotate(id: string, graceMs: number): Promise<Issued> {
    const secret = createSecret();
    const fresh: KeyDigest = { sha256: digestOf(secret), until: null };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const before = await this.#getOwn(id);
      const now = this.#now();
      const old = before.digests
        .map(({ sha256, until }) => ({ sha256, until: until ?? now + graceMs }))
        .filter(({ until }) => until > now);
      const key = { ...before, digests: [fresh, ...old] };
      if (!(await this.#put(before, key))) continue;
      await this.#point(key);
      await this.#forget(before.digests.filter(({ sha256 }) => !old.some((each) => each.sha256 === sha256)));
      this.#remembered.clear();
      return { key, secret };
    }
    throw new GatewayError('conflict', `The key "${id}" is being changed by others: try again`);
  }

  /** @throws GatewayError `not_found`; `conflict` for keys of the file */
  async revoke(id: string): Promise<void> {
    const key = await this.#getOwn(id);
    await this.#storage.delete(`key:${id}`);
    this.#remembered.clear();
    await this.#forget(key.digests);
  }

  async #getOwn(id: string): Promise<VirtualKey> {
    const key = await this.get(id);
    if (key.createdAt !== null) return key;
    throw new GatewayError('conflict', `The key "${id}" comes from keys_file: change it there`);
  }

  async #findStored(sha256: string): Promise<VirtualKey | null> {
    const known = this.#remembered.get(sha256);
    if (known !== undefined && known.until > this.#now()) return known.key;
    const id = await this.#storage.get(`digest:${sha256}`);
    const key = typeof id === 'string' ? await this.#read(id) : null;
    if (key === null) this.#remembered.delete(sha256);
    else this.#remember(sha256, key);
    return key;
  }

  #remember(sha256: string, key: VirtualKey): void {
    if (this.#cacheMs === 0) return;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(sha256, { key, until: this.#now() + this.#cacheMs });
  }

  async #read(id: string): Promise<VirtualKey | null> {
    const value = await this.#storage.get(`key:${id}`);
    // Nobody else writes into a plugin's own namespace.
    return value === undefined ? null : (value as unknown as VirtualKey);
  }

  #put(before: VirtualKey | undefined, key: VirtualKey): Promise<boolean> {
    return this.#storage.compareAndSet(`key:${key.id}`, toValue(before), toValue(key) as StorageValue);
  }

  async #point(key: VirtualKey): Promise<void> {
    await this.#storage.set(`digest:${key.digests[0]?.sha256}`, key.id);
  }

  async #forget(digests: readonly KeyDigest[]): Promise<void> {
    for (const { sha256 } of digests) await this.#storage.delete(`digest:${sha256}`);
  }
}

function toValue(key: VirtualKey | undefined): StorageValue | undefined {
  return key as StorageValue | undefined;
}

function hasPassed(at: number | null, now: number): boolean {
  return at !== null && at <= now;
}
