import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Everything the store ever asks of the database, prepared once. Parameters in the order of the question marks. */
export interface Statements {
  /** key, now -> value */
  readonly get: StatementSync;
  /** key, value, expires */
  readonly put: StatementSync;
  /** value, key */
  readonly update: StatementSync;
  /** key, value, expires, now: unless the key is there and alive */
  readonly insert: StatementSync;
  /** value, expires, key, expected, now */
  readonly replace: StatementSync;
  /** key -> expires_at, of an expired row too */
  readonly remove: StatementSync;
  /** now, first key, key after the last -> key */
  readonly list: StatementSync;
  /** now, first key -> key */
  readonly listToEnd: StatementSync;
  /** now, most rows */
  readonly sweep: StatementSync;
  readonly begin: StatementSync;
  readonly commit: StatementSync;
  readonly rollback: StatementSync;
}

const ALIVE = '(expires_at IS NULL OR expires_at > ?)';

export function prepareStatements(database: DatabaseSync): Statements {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    get: prepare(`SELECT value FROM entries WHERE key = ? AND ${ALIVE}`),
    put: prepare('INSERT OR REPLACE INTO entries (key, value, expires_at) VALUES (?, ?, ?)'),
    update: prepare('UPDATE entries SET value = ? WHERE key = ?'),
    insert: prepare(
      `INSERT INTO entries (key, value, expires_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE
       SET value = excluded.value, expires_at = excluded.expires_at WHERE entries.expires_at <= ?`,
    ),
    replace: prepare(`UPDATE entries SET value = ?, expires_at = ? WHERE key = ? AND value = ? AND ${ALIVE}`),
    remove: prepare('DELETE FROM entries WHERE key = ? RETURNING expires_at'),
    list: prepare(`SELECT key FROM entries WHERE ${ALIVE} AND key >= ? AND key < ?`),
    listToEnd: prepare(`SELECT key FROM entries WHERE ${ALIVE} AND key >= ?`),
    sweep: prepare(
      'DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)',
    ),
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
  };
}
