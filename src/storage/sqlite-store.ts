import type { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '../errors.ts';
import type { Storage, StorageOptions, StorageValue } from '../plugin-api/storage.ts';
import { checkAmount, checkKey, checkTtl } from './arguments.ts';
import { nameType, toCanonicalJson } from './canonical-json.ts';
import { openDatabase } from './sqlite-database.ts';
import { prepareStatements, type Statements } from './sqlite-statements.ts';

const SWEEP_INTERVAL_MS = 60_000;
/** Rows that one write may sweep, so that no write pays for a backlog. */
const SWEEP_ROWS = 500;

/** The store that is there without any service. */
export interface EmbeddedStore extends Storage {
  /** Closes the file. Every call from then on rejects with `storage_unavailable`. Calling it twice is fine. */
  close(): void;
}

export interface SqliteStoreOptions {
  /** Absolute path of the folder (`LLMROUTER_DATA_DIR`); created with mode 0700 when it is not there. */
  readonly dir: string;
  /** Milliseconds since the epoch, as `Date` has it: processes that share the file have to agree on the time. */
  readonly clock: { now(): number };
}

/**
 * Opens `<dir>/routeiq.db`. Several processes may have it open. Every method rejects with a `TypeError` for arguments of
 * the wrong kind and with `storage_unavailable` when the file fails.
 *
 * A write that was answered survives the death of the process. A power cut may take the last few with it, but leaves
 * the file whole: to wait for the disk at each counter would hold up the event loop.
 *
 * @throws ConfigError `config_invalid`, names `LLMROUTER_DATA_DIR`: the folder cannot be written to, or the file is
 * damaged or of a later version
 *
 * @example
 * ```ts
 * const store = openSqliteStore({ dir: '/data', clock: Date });
 * await store.increment('hits', 1, { ttlMs: 60_000 });
 * store.close();
 * ```
 */
export function openSqliteStore(options: SqliteStoreOptions): EmbeddedStore {
  return new SqliteStore(openDatabase(options.dir), options.clock);
}

/** Methods are `async` for their rejections; the work itself is synchronous, so that none interleaves with another. */
class SqliteStore implements EmbeddedStore {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #clock: { now(): number };
  #nextSweep = 0;

  constructor(database: DatabaseSync, clock: { now(): number }) {
    this.#database = database;
    this.#statements = prepareStatements(database);
    this.#clock = clock;
  }

  async get(key: string): Promise<StorageValue | undefined> {
    checkKey(key);
    return this.#run(() => this.#read(key));
  }

  async set(key: string, value: StorageValue, options?: StorageOptions): Promise<void> {
    checkKey(key);
    const text = toCanonicalJson(value);
    const expires = this.#expiry(options);
    this.#write(() => this.#statements.put.run(key, text, expires));
  }

  async delete(key: string): Promise<boolean> {
    checkKey(key);
    return this.#write(() => {
      const row = this.#statements.remove.get(key);
      return row !== undefined && (row.expires_at === null || Number(row.expires_at) > this.#now());
    });
  }

  async increment(key: string, by = 1, options?: StorageOptions): Promise<number> {
    checkKey(key);
    checkAmount(by);
    const expires = this.#expiry(options);
    return this.#write(() => this.#transaction(() => this.#add(key, by, expires)));
  }

  async compareAndSet(
    key: string,
    expected: StorageValue | undefined,
    value: StorageValue,
    options?: StorageOptions,
  ): Promise<boolean> {
    checkKey(key);
    const before = expected === undefined ? undefined : toCanonicalJson(expected);
    const after = toCanonicalJson(value);
    const expires = this.#expiry(options);
    const { insert, replace } = this.#statements;
    const { changes } = this.#write(() =>
      before === undefined
        ? insert.run(key, after, expires, this.#now())
        : replace.run(after, expires, key, before, this.#now()),
    );
    return changes > 0;
  }

  async list(prefix = ''): Promise<readonly string[]> {
    checkKey(prefix, 'prefix');
    const end = endOfPrefix(prefix);
    const { list, listToEnd } = this.#statements;
    const rows = this.#run(() =>
      end === null ? listToEnd.all(this.#now(), prefix) : list.all(this.#now(), prefix, end),
    );
    return rows.map((row) => String(row.key)).sort();
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #read(key: string): StorageValue | undefined {
    const row = this.#statements.get.get(key, this.#now());
    return row === undefined ? undefined : JSON.parse(String(row.value));
  }

  #add(key: string, by: number, expires: number | null): number {
    const current = this.#read(key);
    if (current === undefined) {
      this.#statements.put.run(key, toCanonicalJson(by), expires);
      return by;
    }
    if (typeof current !== 'number') {
      throw new TypeError(`increment: expected the key "${key}" to hold a number, saw ${nameType(current)}`);
    }
    const sum = current + by;
    this.#statements.update.run(toCanonicalJson(sum), key);
    return sum;
  }

  /** IMMEDIATE: two that begin by reading could not both go on to write. */
  #transaction<T>(work: () => T): T {
    this.#statements.begin.run();
    try {
      const result = work();
      this.#statements.commit.run();
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#statements.rollback.run();
      throw error;
    }
  }

  #write<T>(work: () => T): T {
    return this.#run(() => {
      this.#sweep();
      return work();
    });
  }

  /** Expired rows are invisible anyway; this only keeps the file small. */
  #sweep(): void {
    const now = this.#now();
    if (now < this.#nextSweep) return;
    const { changes } = this.#statements.sweep.run(now, SWEEP_ROWS);
    if (Number(changes) < SWEEP_ROWS) this.#nextSweep = now + SWEEP_INTERVAL_MS;
  }

  #run<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw isDatabaseError(error) ? toUnavailable(error) : error;
    }
  }

  #now(): number {
    return Math.floor(this.#clock.now());
  }

  #expiry(options: StorageOptions | undefined): number | null {
    const ttlMs = checkTtl(options);
    return ttlMs === null ? null : Math.min(this.#now() + Math.ceil(ttlMs), Number.MAX_SAFE_INTEGER);
  }
}

/**
 * The first text after all that begin with `prefix`, in SQLite's order (UTF-8 bytes, which is that of code points);
 * `null` when there is none. A range, unlike LIKE, knows no wildcards, minds the case and uses the index.
 */
function endOfPrefix(prefix: string): string | null {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return null;
  const next = last === 0xd7ff ? 0xe000 : last + 1;
  return points.map((point) => String.fromCodePoint(point)).join('') + String.fromCodePoint(next);
}

function isDatabaseError(error: unknown): error is Error {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ERR_SQLITE_ERROR' || error.code === 'ERR_INVALID_STATE';
}

function toUnavailable(error: Error): GatewayError {
  return new GatewayError('storage_unavailable', `The embedded store failed: ${error.message}`, {
    cause: error,
  });
}
