import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Logger } from 'winston';
import { Secret } from '../../src/config/secret.ts';
import { PluginLoadError } from '../../src/errors.ts';
import {
  createLogger,
  createPluginLogger,
  createSilentLogger,
  type LoggerOptions,
} from '../../src/telemetry/logger.ts';

interface Log {
  readonly log: Logger;
  /** The lines as written. */
  lines(): string[];
  /** The lines as parsed. */
  entries(): Record<string, unknown>[];
}

function openLog(options: Partial<LoggerOptions> = {}): Log {
  const stream = new PassThrough();
  let text = '';
  stream.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const lines = (): string[] => text.split('\n').slice(0, -1);
  return {
    log: createLogger({ level: 'info', format: 'json', debug: false, stream, ...options }),
    lines,
    entries: () => lines().map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

/** One line's fields, without the time. */
function fieldsOf(
  write: (log: Logger) => unknown,
  options: Partial<LoggerOptions> = {},
): Record<string, unknown> {
  const { log, entries } = openLog(options);
  write(log);
  const all = entries();
  assert.equal(all.length, 1);
  const { ts, ...fields } = all[0] ?? {};
  assert.match(String(ts), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  return fields;
}

describe('the log', () => {
  it('writes one JSON object per line with ts, level, message and fields', () => {
    assert.deepEqual(
      fieldsOf((log) => log.warn('full', { used: 3, of: [4] })),
      {
        level: 'warn',
        message: 'full',
        used: 3,
        of: [4],
      },
    );
  });

  it('takes every form of call that winston takes', () => {
    const info = { level: 'info', message: 'm' };
    assert.deepEqual(
      fieldsOf((log) => log.log('info', 'm')),
      info,
    );
    assert.deepEqual(
      fieldsOf((log) => log.log({ level: 'info', message: 'm', a: 1 })),
      { ...info, a: 1 },
    );
    assert.deepEqual(
      fieldsOf((log) => log.info({ message: 'm', a: 1 })),
      { ...info, a: 1 },
    );
    assert.deepEqual(
      fieldsOf((log) => log.info('m', { a: 1 }, { b: 2 })),
      { ...info, a: 1, b: 2 },
    );
    assert.deepEqual(
      fieldsOf((log) => log.info('%s has %d', 'x', 2)),
      { ...info, message: 'x has 2' },
    );
    assert.deepEqual(
      fieldsOf((log) => log.info('100%', { a: 1 })),
      { ...info, message: '100%', a: 1 },
    );
    assert.deepEqual(
      fieldsOf((log) => log.info('m', { message: 'n' })),
      { ...info, message: 'm n' },
    );
    assert.deepEqual(
      fieldsOf((log) => log.child({ a: 1 }).child({ b: 2 }).info('m')),
      { ...info, a: 1, b: 2 },
    );
    assert.equal(fieldsOf((log) => log.log('info', '')).message, '');
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = openLog({ level: 'warn' });
    log.info('no');
    log.child({}).debug('no');
    log.log('http', 'no');
    log.log('unheard-of', 'no');
    assert.deepEqual(lines(), []);
  });

  const FORGERIES = '\n\r\0\u001b[2J\u007f\u009b\u2028\u2029\u202e\u2066\u200f\u061c{"level":"error"}';
  for (const format of ['json', 'pretty'] as const) {
    it(`lets nobody forge a line or reorder the screen: ${format}`, () => {
      const { log, lines } = openLog({ format });
      log.info(`x${FORGERIES}`, { [`k${FORGERIES}`]: FORGERIES, nested: [FORGERIES] });
      const error = new Error(FORGERIES);
      log.error(error);
      assert.equal(lines().length, 2);
      for (const line of lines()) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: none of these may be in a line
        assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
      }
    });
  }

  it('gives back any text as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
        assert.equal(fieldsOf((log) => log.info('m', { text })).text, text);
      }),
    );
  });

  it('is readable when pretty', () => {
    const { log, lines } = openLog({ format: 'pretty' });
    log.info('plugin started', { plugin: 'hello', ms: 3 });
    assert.match(lines()[0] ?? '', /^\d\d:\d\d:\d\d\.\d{3} info {2}plugin started plugin="hello" ms=3$/);
  });

  it('shows no secret', () => {
    const { log, lines } = openLog();
    log.info('m', { key: new Secret('hunter2'), deep: [{ key: new Secret('hunter2') }] });
    log.info('m', new Secret('hunter2'));
    assert.doesNotMatch(lines().join(), /hunter2/);
    assert.match(lines()[0] ?? '', /\[redacted\]/);
  });

  it('shows of an error its message, code and plugin; stack and cause in debug only', () => {
    const error = new PluginLoadError('broken', { plugin: 'x', cause: new Error('inner') });
    const plain = { name: 'PluginLoadError', message: 'broken', code: 'plugin_load', plugin: 'x' };
    assert.deepEqual(fieldsOf((log) => log.error('failed', { error })).error, plain);
    assert.deepEqual(fieldsOf((log) => log.error('failed', error)).error, plain);
    assert.deepEqual(
      fieldsOf((log) => log.error(error)),
      { level: 'error', message: 'broken', error: plain },
    );
    const debug = fieldsOf((log) => log.error('failed', error), { debug: true }).error as Record<
      string,
      unknown
    >;
    assert.match(String(debug.stack), /logger\.test/);
    assert.match(JSON.stringify(debug.cause), /inner/);
  });

  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const throwing = () => {
    throw new Error('no');
  };
  const hostile: [what: string, value: unknown][] = [
    ['a circle', circle],
    ['a throwing getter', Object.defineProperty({}, 'x', { enumerable: true, get: throwing })],
    ['a throwing toJSON', { a: { toJSON: throwing } }],
    ['a throwing toString', { a: { toString: throwing } }],
    ['a proxy that throws at everything', new Proxy({}, { get: throwing, ownKeys: throwing, has: throwing })],
    ['a proxy within', { a: new Proxy({}, { get: throwing, ownKeys: throwing, has: throwing }) }],
    ['a frozen object', Object.freeze({ message: 'm' })],
    ['a frozen error', Object.freeze(new Error('m'))],
    ['an error with a throwing message', Object.defineProperty(new Error(), 'message', { get: throwing })],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 })],
    ['a symbol', Symbol('s')],
    ['a bigint', 1n],
    ['null', null],
    ['undefined', undefined],
    ['a function', () => 1],
    ['own __proto__ and toJSON', JSON.parse('{"__proto__":{"level":"x"},"constructor":1}')],
    ['a map', { a: new Map([[1, 2]]), b: new Set([1]) }],
    ['a huge buffer', { a: Buffer.alloc(10_000_000) }],
  ];
  for (const [what, value] of hostile) {
    it(`writes a line whatever it is given: ${what}`, () => {
      const { log, entries } = openLog();
      log.info('m', value);
      log.info(value as string);
      log.log('info', 'm', value);
      log.child(value as object).info('m');
      createPluginLogger(log, 'p', () => ({})).info('m', value);
      assert.equal(entries().length, 5);
      for (const entry of entries()) assert.equal(entry.level, 'info');
    });
  }

  it('keeps lines short', () => {
    const long = 'x'.repeat(1_000_000);
    const { log, lines } = openLog();
    log.info(long);
    log.info('m', { long });
    log.info('m', { many: Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => long)) });
    for (const line of lines()) assert.ok(line.length < 400_000, String(line.length));
    assert.match(lines()[0] ?? '', /1000000 characters/);
  });

  it('lets no field take the place of the time or the level', () => {
    const entry = fieldsOf((log) =>
      log.info('m', { ts: 'never', level: 'error', toJSON: () => ({ level: 'x' }) }),
    );
    assert.equal(entry._ts, 'never');
    assert.equal(entry.level, 'info');
  });

  it('does not end the process when its reader goes away', async () => {
    const script = `
      import { createLogger } from '${new URL('../../src/telemetry/logger.ts', import.meta.url)}';
      const log = createLogger({ level: 'info', format: 'json', debug: false });
      const timer = setInterval(() => log.info('tick'), 1);
      process.stdout.on('error', () => { clearInterval(timer); log.info('after'); process.exitCode = 7; });
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');
    child.stdout.destroy();
    assert.deepEqual(await once(child, 'close'), [7, null]);
  });

  it('finishes when its stream has taken every line', async () => {
    const written: string[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        setImmediate(() => {
          written.push(String(chunk));
          done();
        });
      },
    });
    const { log } = openLog({ stream });
    for (let n = 0; n < 20; n++) log.info(`line ${n}`);
    log.end();
    await once(log, 'finish');
    assert.match(written.join(''), /line 19/);
  });

  it('may be silent', () => {
    assert.equal(createSilentLogger().info('nothing').constructor.name, 'DerivedLogger');
  });
});

describe("a plugin's logger", () => {
  it('carries the plugin and the fields of the moment, which no argument replaces', () => {
    const { log, entries } = openLog();
    const requests = new AsyncLocalStorage<string>();
    const logger = createPluginLogger(log, 'my-plugin', () => {
      const requestId = requests.getStore();
      return requestId === undefined ? {} : { requestId };
    });
    logger.info('outside', { plugin: 'other' });
    requests.run('r1', () =>
      logger.child({ part: 'a', plugin: 'other' }).warn('inside', { requestId: 'r2' }),
    );
    for (const entry of entries()) assert.equal(entry.plugin, 'my-plugin');
    assert.equal(entries()[0]?.requestId, undefined);
    assert.deepEqual([entries()[1]?.requestId, entries()[1]?.part], ['r1', 'a']);
  });

  const mischief: [what: string, act: (logger: Logger) => unknown][] = [
    [
      'level',
      (logger) => {
        logger.level = 'silent';
      },
    ],
    [
      'silent',
      (logger) => {
        logger.silent = true;
      },
    ],
    [
      'levels',
      (logger) => {
        delete (logger.levels as Record<string, number>).info;
      },
    ],
    [
      'format',
      (logger) => {
        logger.format = { transform: () => false };
      },
    ],
    ['clear', (logger) => logger.clear()],
    ['close', (logger) => logger.close()],
    ['end', (logger) => logger.end()],
    ['destroy', (logger) => logger.destroy()],
    ['configure', (logger) => logger.configure({ silent: true })],
    [
      'remove',
      (logger) => {
        for (const transport of logger.transports) logger.remove(transport);
      },
    ],
    [
      'transports',
      (logger) => {
        for (const transport of logger.transports) transport.silent = true;
      },
    ],
    [
      'log',
      (logger) => {
        logger.log = () => logger;
      },
    ],
  ];
  for (const [what, act] of mischief) {
    it(`changes nobody else's log: ${what}`, () => {
      const { log, entries } = openLog();
      const other = createPluginLogger(log, 'other', () => ({}));
      const mine = createPluginLogger(log, 'mine', () => ({}));
      act(mine);
      act(mine.child({}));
      log.info('of the gateway');
      other.info('of another');
      assert.deepEqual(
        entries().map((entry) => entry.message),
        ['of the gateway', 'of another'],
      );
    });
  }

  it('does not raise the level of the gateway', () => {
    const { log, lines } = openLog();
    const logger = createPluginLogger(log, 'p', () => ({}));
    logger.level = 'silly';
    logger.debug('no');
    assert.deepEqual(lines(), []);
  });

  it('reports an error of its own instead of ending the process', () => {
    const { log, entries } = openLog();
    createPluginLogger(log, 'p', () => ({})).emit('error', new Error('disk full'));
    assert.equal(entries()[0]?.level, 'warn');
    assert.equal(entries()[0]?.plugin, 'p');
  });
});
