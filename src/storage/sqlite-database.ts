import { closeSync, existsSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ConfigError, toError } from '../errors.ts';

const FILE_NAME = 'routeiq.db';
/** Of the tables below, in the file's `user_version`. */
const SCHEMA_VERSION = 1;
/** How long a write waits for another process's. */
const BUSY_TIMEOUT_MS = 5000;
/** Larger files are not read through at the start: it takes about a second per gigabyte. */
const CHECKED_BYTES = 64 * 1024 * 1024;

/**
 * Opens or creates `<dir>/routeiq.db`. It writes nowhere else: temporary tables stay in memory, so that a container
 * with a read-only root needs no `/tmp`.
 *
 * @throws ConfigError `config_invalid`, names `LLMROUTER_DATA_DIR`
 */
export function openDatabase(dir: string): DatabaseSync {
  const file = join(dir, FILE_NAME);
  createFile(dir, file);
  const database = new DatabaseSync(file, { open: false, timeout: BUSY_TIMEOUT_MS });
  try {
    database.open();
    configure(database);
    createTables(database);
    checkIntegrity(database, file);
    return database;
  } catch (error) {
    if (database.isOpen) database.close();
    throw invalid(
      file,
      toError(error).message,
      'a whole routeiq.db: put a backup in its place, or remove it to start anew',
    );
  }
}

/** SQLite would make the file readable for everyone; the `-wal` and `-shm` files beside it take its mode over. */
function createFile(dir: string, file: string): void {
  try {
    createFolder(dir);
    closeSync(openSync(file, 'a', 0o600));
  } catch (error) {
    throw invalid(dir, toError(error).message, 'a folder that the gateway can write to');
  }
}

/** By hand: Node's recursive `mkdir` never returns where a parent exists but takes no children, as `/proc` does. */
function createFolder(dir: string): void {
  if (existsSync(dir)) return;
  createFolder(dirname(dir));
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    // Another process of the gateway may have been faster.
    if (!existsSync(dir)) throw error;
  }
}

function configure(database: DatabaseSync): void {
  database.exec('PRAGMA temp_store = MEMORY');
  const mode = readPragma(database, 'journal_mode = WAL', 'journal_mode');
  if (mode !== 'wal') throw new Error(`its journal stays in mode "${mode}", as on a network file system`);
  // In WAL mode NORMAL keeps the file whole through a power cut, without a flush to the disk at every write.
  database.exec('PRAGMA synchronous = NORMAL');
}

function createTables(database: DatabaseSync): void {
  const version = readPragma(database, 'user_version', 'user_version');
  if (version === SCHEMA_VERSION) return;
  if (version !== 0)
    throw new Error(`its schema has version ${version}, this gateway knows ${SCHEMA_VERSION}`);
  database.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS entries (
      key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS entries_expires_at ON entries (expires_at) WHERE expires_at IS NOT NULL;
    PRAGMA user_version = ${SCHEMA_VERSION};
    COMMIT;
  `);
}

/** Damage is met here, where an operator looks, rather than at some request. */
function checkIntegrity(database: DatabaseSync, file: string): void {
  if (statSync(file).size > CHECKED_BYTES) return;
  const verdict = readPragma(database, 'quick_check(1)', 'quick_check');
  if (verdict !== 'ok') throw new Error(`it is damaged (${verdict})`);
}

function readPragma(database: DatabaseSync, pragma: string, column: string): unknown {
  return database.prepare(`PRAGMA ${pragma}`).get()?.[column];
}

function invalid(path: string, seen: string, expected: string): ConfigError {
  return new ConfigError([
    `LLMROUTER_DATA_DIR: saw ${path}: ${seen.replaceAll('\n', ' ')}; expected ${expected}`,
  ]);
}
