import winston, { type Logger } from 'winston';
import Transport from 'winston-transport';
import { toPlain } from './plain.ts';

/** Where winston keeps the finished line (its `triple-beam` convention). */
const LINE = Symbol.for('message');

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
 * nothing that a client sends can begin a new line or move a terminal's cursor.
 */
export function createLogger({ level, format, debug, stream = process.stdout }: LoggerOptions): Logger {
  const render = format === 'json' ? toJsonLine : toPrettyLine;
  return winston.createLogger({
    level,
    format: { transform: (info) => ({ ...info, [LINE]: render(toEntry(info, debug)) }) },
    transports: [new winston.transports.Stream({ stream })],
  });
}

/** A log that nobody reads. */
export function createSilentLogger(): Logger {
  return winston.createLogger({ silent: true });
}

/**
 * A plugin's own logger. It carries the plugin's name and `fields` on every line and hands on to the gateway's; the
 * plugin may do to it what it likes (level, transports, `close()`), nobody else's log changes.
 *
 * @param fields asked at every line, for example for the id of the request being served
 */
export function createPluginLogger(
  parent: Logger,
  plugin: string,
  fields: () => Readonly<Record<string, unknown>>,
): Logger {
  return winston.createLogger({
    level: parent.level,
    format: { transform: (info) => ({ ...info, ...fields(), plugin }) },
    transports: [new ForwardTransport(parent)],
  });
}

class ForwardTransport extends Transport {
  readonly #parent: Logger;

  constructor(parent: Logger) {
    super();
    this.#parent = parent;
  }

  override log(info: winston.Logform.TransformableInfo, next: () => void): void {
    this.#parent.log({ ...info, message: String(info.message) });
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
  const { level, message, ...rest } = info;
  const fields = toPlain(rest, { debug }) as Record<string, unknown>;
  const text = toPlain(message, { debug });
  return {
    ts: new Date().toISOString(),
    level: String(level),
    message: typeof text === 'string' ? text : (JSON.stringify(text) ?? ''),
    fields,
  };
}

/** The entry's own members come first and cannot be replaced by fields of the same name. */
function toJsonLine({ fields, ...entry }: Entry): string {
  return escapeControls(JSON.stringify({ ...entry, ...fields, ...entry }));
}

function toPrettyLine({ ts, level, message, fields }: Entry): string {
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return escapeControls(`${ts.slice(11, 23)} ${level.padEnd(5)} ${message}${pairs.join('')}`);
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
