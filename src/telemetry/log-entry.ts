import { format } from 'node:util';
import type { Logger } from 'winston';
import { readMember } from './plain.ts';

/** Where winston's transports look for the level (its `triple-beam` convention). */
const LEVEL = Symbol.for('level');

/**
 * Makes `log`, the level methods and `child` of a logger safe to call with anything, in place. Winston's own copy their
 * arguments with `Object.assign` and write into them, so that a throwing getter or a frozen object throws into the
 * caller, who only wanted to log. A level that is off costs one comparison.
 *
 * @returns the same logger
 */
export function guardEntry(logger: Logger): Logger {
  const { child } = logger;
  defineMethod(logger, 'log', function log(level, ...args) {
    return typeof level === 'object' && level !== null
      ? writeEntry(this, readMember(level, 'level'), [level])
      : writeEntry(this, level, args);
  });
  defineMethod(logger, 'child', function childOf(fields) {
    return child.call(this, copyMembers({}, fields));
  });
  for (const level of Object.keys(logger.levels)) {
    defineMethod(logger, level, function logAtLevel(...args) {
      return writeEntry(this, level, args);
    });
  }
  return logger;
}

function defineMethod(
  logger: Logger,
  name: string,
  value: (this: Logger, ...args: unknown[]) => Logger,
): void {
  Object.defineProperty(logger, name, { value, configurable: true, writable: true });
}

function writeEntry(logger: Logger, level: unknown, args: readonly unknown[]): Logger {
  const name = String(level);
  if (!logger.isLevelEnabled(name)) return logger;
  logger.write(toInfo(name, args));
  return logger;
}

type Members = Record<string | symbol, unknown>;

/**
 * `(message, ...values and objects)` or `(object)`: members of objects become fields, errors the field `error`, other
 * values part of the message, as `util.format` has it.
 */
function toInfo(level: string, args: readonly unknown[]): Members {
  const fields: Members = Object.create(null);
  const texts: unknown[] = [];
  for (const [index, arg] of args.entries()) {
    if (typeof arg === 'function') continue;
    if (typeof arg !== 'object' || arg === null) texts.push(arg);
    else if (arg instanceof Error) addError(fields, texts, arg, index === 0);
    else copyMembers(fields, arg);
  }
  // Winston, too, appends the `message` of an object to the one given.
  if ('message' in fields) texts.push(fields.message);
  const message = texts.length > 1 ? format(...texts.map(toFormattable)) : (texts[0] ?? '');
  return Object.assign(fields, { level, message, [LEVEL]: level });
}

function addError(fields: Members, texts: unknown[], error: Error, alone: boolean): void {
  fields.error = error;
  if (alone) texts.push(readMember(error, 'message'));
}

/** `util.format` may call methods of objects; strings and numbers are safe. */
function toFormattable(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? '[object]' : value;
}

function copyMembers(target: Members, source: unknown): Members {
  if (typeof source !== 'object' || source === null) return target;
  for (const key of keysOf(source)) if (key !== '__proto__') target[key] = readMember(source, key);
  return target;
}

function keysOf(source: object): readonly string[] {
  try {
    return Object.keys(source);
  } catch {
    return [];
  }
}
