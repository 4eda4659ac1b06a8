import winston, { type Logger } from 'winston';
import Transport from 'winston-transport';
import { type BootStep, toTree } from './boot-timer.ts';
import { guardEntry } from './log-entry.ts';
import { createPlainer } from './plain.ts';

/** How long the end of the log waits for a reader that does not read. */
const FLUSH_TIMEOUT_MS = 1000;

export interface LoggerOptions {
  /** A winston level, npm's names. */
  readonly level: string;
  readonly format: 'json' | 'pretty';
  /** True: stacks and causes of errors. */
  readonly debug: boolean;
  /** Default: standard output. */
  readonly stream?: NodeJS.WritableStream;
}

/**
 * The gateway's log: one line per event, as JSON or for people. Control characters are escaped in both, so that
 * nothing that a client sends can begin a new line or move a terminal's cursor. Logging never throws, whatever it is
 * given, and a reader that goes away (`EPIPE`) does not end the process.
 *
 * @example
 * ```ts
 * const log = createLogger({ level: 'info', format: 'json', debug: false });
 * log.info('plugin started', { plugin: 'hello', startupMs: 3 });
 * // {"ts":"2026-01-01T00:00:00.000Z","level":"info","message":"plugin started","plugin":"hello","startupMs":3}
 * ```
 */
export function createLogger({ level, format, debug, stream = process.stdout }: LoggerOptions): Logger {
  const render = format === 'json' ? toJsonLine : toPrettyLine;
  const logger = winston.createLogger({
    levels: copyLevels(),
    level,
    format: AS_IT_IS,
    exitOnError: false,
    transports: [new LineTransport(stream, (info) => render(toEntry(info, debug)))],
  });
  return guardEntry(logger);
}

/** A log that nobody reads. */
export function createSilentLogger(): Logger {
  return guardEntry(winston.createLogger({ levels: copyLevels(), silent: true, format: AS_IT_IS }));
}

/**
 * A plugin's own logger. It carries the plugin's name and `fields` on every line and hands on to the gateway's; the
 * plugin may do to it what it likes (level, transports, `close()`), nobody else's log changes. Lines below the
 * gateway's own level stay out of the gateway's log.
 *
 * @param fields asked at every line, for example for the id of the request being served
 */
export function createPluginLogger(
  parent: Logger,
  plugin: string,
  fields: () => Readonly<Record<string, unknown>>,
): Logger {
  const logger = winston.createLogger({
    levels: copyLevels(),
    level: parent.level,
    format: { transform: (info) => Object.assign(info, fields()) },
    exitOnError: false,
    transports: [new ForwardTransport(parent, plugin)],
  });
  // A transport that the plugin added, or a line after it has closed its logger. Unheard, it would end the process.
  logger.on('error', (error: unknown) => parent.warn("a plugin's logger failed", { plugin, error }));
  return guardEntry(logger);
}

/** All loggers share winston's own object, which any of them may change. */
function copyLevels(): Record<string, number> {
  return { ...winston.config.npm.levels };
}

/** Lines are made by the transport, which asks for the level first. */
const AS_IT_IS: winston.Logform.Format = { transform: (info) => info };

/** Writes lines to a stream. */
class LineTransport extends Transport {
  readonly #stream: NodeJS.WritableStream;
  readonly #render: (info: winston.Logform.TransformableInfo) => string;
  #gone = false;

  constructor(stream: NodeJS.WritableStream, render: (info: winston.Logform.TransformableInfo) => string) {
    super();
    this.#stream = stream;
    this.#render = render;
    // Unheard, the error would end the process. Nothing is written from then on: each line would be another error, and
    // a listener that logs errors would never come to an end.
    stream.on('error', () => {
      this.#gone = true;
    });
  }

  override log(info: winston.Logform.TransformableInfo, next: () => void): void {
    if (!this.#gone && this.#stream.writable) this.#stream.write(`${this.#render(info)}\n`);
    next();
  }

  /** `logger.end()` finishes when the stream has taken everything. */
  override _final(done: () => void): void {
    if (this.#gone || !this.#stream.writable) {
      done();
      return;
    }
    const timer = setTimeout(done, FLUSH_TIMEOUT_MS);
    this.#stream.write('', () => {
      clearTimeout(timer);
      done();
    });
  }
}

class ForwardTransport extends Transport {
  readonly #parent: Logger;
  readonly #plugin: string;

  constructor(parent: Logger, plugin: string) {
    super();
    this.#parent = parent;
    this.#plugin = plugin;
  }

  /** The name is put on here, where no field and no format of the plugin can replace it. */
  override log(info: winston.Logform.TransformableInfo, next: () => void): void {
    this.#parent.log(info.level, { ...info, plugin: this.#plugin });
    next();
  }
}

interface Entry {
  readonly ts: string;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function toEntry(info: winston.Logform.TransformableInfo, debug: boolean): Entry {
  const { level, message, ts: _ts, ...rest } = info;
  const members = _ts === undefined ? rest : { ...rest, _ts };
  const plain = createPlainer({ debug });
  const text = plain(message);
  const fields = Object.fromEntries(Object.entries(members).map(([key, value]) => [key, plain(value)]));
  return {
    ts: new Date().toISOString(),
    level: String(level),
    message: typeof text === 'string' ? text : (JSON.stringify(text) ?? ''),
    fields,
  };
}

/** No field has the name of one of the entry's own members: those are taken out before. */
function toJsonLine({ fields, ...entry }: Entry): string {
  return escapeControls(JSON.stringify({ ...entry, ...fields }));
}

function toPrettyLine(entry: Entry): string {
  const { ts, level, message, fields } = entry;
  const tree = bootTree(entry).map((line) => `\n${escapeControls(line)}`);
  if (tree.length > 0) return toPrettyLine({ ...entry, fields: { ms: fields.ms } }) + tree.join('');
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return escapeControls(`${ts.slice(11, 23)} ${level.padEnd(5)} ${message}${pairs.join('')}`);
}

/** The gateway's own account of its start is the one entry of several lines: none of a plugin's is. */
function bootTree({ fields: { event, plugin, steps } }: Entry): readonly string[] {
  const isBoot = event === 'boot' && plugin === undefined && Array.isArray(steps);
  return isBoot ? toTree(steps as readonly BootStep[]) : [];
}

/**
 * C0 and C1 controls, line and paragraph separators, and the characters that reorder text on a screen (Unicode
 * Technical Report 36, "Bidirectional Text Spoofing").
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function escapeControls(line: string): string {
  return line.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
