import type { StorageBackend, StorageOptions, StorageValue } from 'routeiq-gateway/plugin';
import { toCanonicalJson } from './canonical-json.ts';
import type { Connection } from './connection.ts';
import { COMPARE_AND_SET, INCREMENT, runScript } from './scripts.ts';

/** Longer lives are cut to this, about three thousand years: the server refuses dates beyond its clock. */
const MAX_TTL_MS = 1e14;
/** Keys that the server looks at in one step of a listing. */
const SCAN_COUNT = 1000;

/** The operations of a store as commands; those that read and write in one are scripts, which the server runs alone. */
export class RedisStore implements StorageBackend {
  readonly shared = true;
  readonly #connection: Connection;
  readonly #prefix: string;

  constructor(connection: Connection, prefix: string) {
    this.#connection = connection;
    this.#prefix = prefix;
  }

  async get(key: string): Promise<StorageValue | undefined> {
    const text = await this.#connection.ask((client) => client.get(this.#prefix + key));
    return text === null ? undefined : (JSON.parse(text) as StorageValue);
  }

  async set(key: string, value: StorageValue, options?: StorageOptions): Promise<void> {
    const ttlMs = toTtl(options);
    const expiration = ttlMs === 0 ? {} : { expiration: { type: 'PX' as const, value: ttlMs } };
    const text = toCanonicalJson(value);
    await this.#connection.ask((client) => client.set(this.#prefix + key, text, expiration));
  }

  async delete(key: string): Promise<boolean> {
    const count = await this.#connection.ask((client) => client.del(this.#prefix + key));
    return count === 1;
  }

  async increment(key: string, by = 1, options?: StorageOptions): Promise<number> {
    const args = [JSON.stringify(by), String(toTtl(options))];
    try {
      const sum = await this.#connection.ask((client) =>
        runScript(client, INCREMENT, this.#prefix + key, args),
      );
      return Number(sum);
    } catch (error) {
      throw isNotNumber(error) ? conflict(error) : error;
    }
  }

  async compareAndSet(
    key: string,
    expected: StorageValue | undefined,
    value: StorageValue,
    options?: StorageOptions,
  ): Promise<boolean> {
    const before = expected === undefined ? '' : toCanonicalJson(expected);
    const args = [before, toCanonicalJson(value), String(toTtl(options))];
    const count = await this.#connection.ask((client) =>
      runScript(client, COMPARE_AND_SET, this.#prefix + key, args),
    );
    return count === 1;
  }

  /** SCAN, unlike KEYS, lets others ask in between. It may name a key twice. */
  async list(prefix = ''): Promise<readonly string[]> {
    const match = `${escapeGlob(this.#prefix + prefix)}*`;
    return this.#connection.ask(async (client) => {
      const keys = new Set<string>();
      for await (const found of client.scanIterator({ MATCH: match, COUNT: SCAN_COUNT })) {
        for (const key of found) keys.add(key.slice(this.#prefix.length));
      }
      return [...keys].sort();
    });
  }

  close(): void {
    this.#connection.close();
  }
}

/** Whole milliseconds, 0 for ever. */
function toTtl(options: StorageOptions | undefined): number {
  return options?.ttlMs === undefined ? 0 : Math.min(Math.ceil(options.ttlMs), MAX_TTL_MS);
}

/** Source: Redis's documentation of KEYS, "Supported glob-style patterns". */
function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&');
}

function isNotNumber(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOTNUMBER');
}

/** The mistake is the caller's: its `status` keeps it from counting as a failure of the store. */
function conflict(cause: unknown): Error {
  return Object.assign(new TypeError('increment: the key does not hold a number', { cause }), {
    status: 409,
  });
}
