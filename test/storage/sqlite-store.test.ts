import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ConfigError, GatewayError } from '../../src/errors.ts';
import type { StorageValue } from '../../src/plugin-api/storage.ts';
import { openSqliteStore } from '../../src/storage/sqlite-store.ts';
import { testStorage } from '../support/storage-conformance.ts';

const WRITER = fileURLToPath(new URL('fixtures/writer.ts', import.meta.url));

function createTempDir(): string {
  return mkdtempSync(join(tmpdir(), 'routeiq-store-'));
}

function createClock(): { time: number; now(): number } {
  return {
    time: Date.now(),
    now: function now() {
      return this.time;
    },
  };
}

testStorage('the embedded store', async () => {
  const dir = createTempDir();
  const clock = createClock();
  const storage = openSqliteStore({ dir, clock });
  return {
    storage,
    advance: async (ms) => {
      clock.time += ms;
    },
    close: async () => {
      storage.close();
      rmSync(dir, { recursive: true });
    },
  };
});

describe('the embedded store', () => {
  let dir: string;
  beforeEach(() => {
    dir = createTempDir();
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('keeps what it was given over a restart', async () => {
    const first = openSqliteStore({ dir, clock: Date });
    await first.set('quarantine:x', { since: 1 });
    first.close();
    const second = openSqliteStore({ dir, clock: Date });
    assert.deepEqual(await second.get('quarantine:x'), { since: 1 });
    second.close();
  });

  it('creates the folder and its files for the owner alone', async () => {
    const nested = join(dir, 'a', 'b');
    const store = openSqliteStore({ dir: nested, clock: Date });
    await store.set('k', 1);
    assert.equal(statSync(nested).mode & 0o777, 0o700);
    const files = readdirSync(nested);
    assert.ok(files.includes('routeiq.db'));
    for (const file of files) assert.equal(statSync(join(nested, file)).mode & 0o077, 0, file);
    store.close();
  });

  it('shows two openings of one file the same values', async () => {
    const [a, b] = [openSqliteStore({ dir, clock: Date }), openSqliteStore({ dir, clock: Date })];
    await a.set('k', 1);
    assert.equal(await b.compareAndSet('k', 1, 2), true);
    assert.equal(await a.get('k'), 2);
    a.close();
    b.close();
  });

  it('sweeps expired rows out of the file', async () => {
    const clock = createClock();
    const store = openSqliteStore({ dir, clock });
    for (let n = 0; n < 700; n++) await store.set(`old:${n}`, n, { ttlMs: 1 });
    await store.set('kept', 1);
    clock.time += 3_600_000;
    await store.set('one', 1);
    await store.set('two', 1);
    store.close();
    const database = new DatabaseSync(join(dir, 'routeiq.db'));
    assert.equal(database.prepare('SELECT count(*) AS n FROM entries').get()?.n, 3);
    database.close();
  });

  const refused: [what: string, call: (store: ReturnType<typeof openSqliteStore>) => Promise<unknown>][] = [
    ['a key that is no string', (store) => store.get(1 as unknown as string)],
    ['a key with a lone surrogate', (store) => store.set('\uD800', 1)],
    ['NaN', (store) => store.set('k', Number.NaN)],
    ['undefined', (store) => store.set('k', undefined as unknown as StorageValue)],
    ['a date', (store) => store.set('k', { at: new Date() } as unknown as StorageValue)],
    ['a function', (store) => store.set('k', [() => 1] as unknown as StorageValue)],
    ['a circle', (store) => store.set('k', createCircle())],
    ['a time to live of 0', (store) => store.set('k', 1, { ttlMs: 0 })],
    ['an endless time to live', (store) => store.set('k', 1, { ttlMs: Number.POSITIVE_INFINITY })],
    ['an amount that is no number', (store) => store.increment('k', '1' as unknown as number)],
    [
      'an increment past the largest number',
      async (store) => {
        await store.set('big', 1.7e308);
        await store.increment('big', 1.7e308);
      },
    ],
  ];
  for (const [what, call] of refused) {
    it(`refuses ${what} with a TypeError, and goes on working`, async () => {
      const store = openSqliteStore({ dir, clock: Date });
      await assert.rejects(call(store), TypeError);
      await store.set('k', 'fine');
      assert.equal(await store.get('k'), 'fine');
      store.close();
    });
  }

  it('leaves out properties that are undefined', async () => {
    const store = openSqliteStore({ dir, clock: Date });
    await store.set('k', { a: 1, b: undefined } as unknown as StorageValue);
    assert.deepEqual(await store.get('k'), { a: 1 });
    store.close();
  });

  it('rejects with storage_unavailable once it is closed', async () => {
    const store = openSqliteStore({ dir, clock: Date });
    store.close();
    store.close();
    for (const call of [
      store.get('k'),
      store.set('k', 1),
      store.increment('k'),
      store.list(),
      store.delete('k'),
    ]) {
      await assert.rejects(
        call,
        (error) => error instanceof GatewayError && error.code === 'storage_unavailable',
      );
    }
  });
});

describe('the folder of the embedded store', () => {
  let dir: string;
  beforeEach(() => {
    dir = createTempDir();
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function refusal(path: string): ConfigError {
    try {
      openSqliteStore({ dir: path, clock: Date }).close();
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /^LLMROUTER_DATA_DIR: saw .+; expected .+$/);
      return error;
    }
    assert.fail('expected a ConfigError');
  }

  it('is refused when it is a file', () => {
    const file = join(dir, 'file');
    writeFileSync(file, '');
    assert.match(refusal(file).message, /expected a folder/);
  });

  it('is refused where nothing can be created', () => {
    assert.match(refusal('/proc/routeiq').message, /\/proc\/routeiq/);
  });

  it('is refused when it cannot be written to', () => {
    chmodSync(dir, 0o500);
    const isRoot = process.getuid?.() === 0;
    // Root may write anywhere: there is nothing to refuse then.
    if (isRoot) openSqliteStore({ dir, clock: Date }).close();
    else assert.match(refusal(dir).message, /EACCES/);
    chmodSync(dir, 0o700);
  });

  it('is refused when a folder stands in place of the file', () => {
    mkdirSync(join(dir, 'routeiq.db'));
    refusal(dir);
  });

  it('is refused when the file is no database', () => {
    writeFileSync(join(dir, 'routeiq.db'), 'no database '.repeat(1000));
    assert.match(refusal(dir).message, /not a database.+expected a whole routeiq\.db/);
  });

  it('is refused when the file has lost its end', async () => {
    const store = openSqliteStore({ dir, clock: Date });
    for (let n = 0; n < 500; n++) await store.set(`k${n}`, 'x'.repeat(200));
    store.close();
    const file = join(dir, 'routeiq.db');
    truncateSync(file, statSync(file).size / 2);
    refusal(dir);
  });

  it('is refused when a later version wrote the file', () => {
    const database = new DatabaseSync(join(dir, 'routeiq.db'));
    database.exec('PRAGMA user_version = 7');
    database.close();
    assert.match(refusal(dir).message, /version 7/);
  });
});

describe('the embedded store among processes', () => {
  let dir: string;
  beforeEach(() => {
    dir = createTempDir();
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('has every acknowledged write after its process was killed in the middle of writing', async () => {
    const child = spawn(process.execPath, [WRITER, dir, 'forever'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('\n200\n')) child.kill('SIGKILL');
    });
    const [, signal] = await once(child, 'close');
    assert.equal(signal, 'SIGKILL');

    const last = Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
    const store = openSqliteStore({ dir, clock: Date });
    for (let n = 0; n <= last; n++) assert.equal(await store.get(`w:${n}`), n);
    assert.ok(Number(await store.get('sum')) > last);
    store.close();
  });

  it('opens and counts right when processes start at once', async () => {
    const writers = Array.from({ length: 3 }, () =>
      spawn(process.execPath, [WRITER, dir, '3000'], { stdio: 'ignore' }),
    );
    const exits = await Promise.all(writers.map((writer) => once(writer, 'close')));
    assert.deepEqual(
      exits.map(([code]) => code),
      [0, 0, 0],
    );
    const store = openSqliteStore({ dir, clock: Date });
    assert.equal(await store.get('n'), 9000);
    store.close();
  });
});

function createCircle(): StorageValue {
  const circle: StorageValue[] = [];
  circle.push(circle);
  return circle;
}
