import { packError, parseError, unpackError } from './errors.ts';

/**
 * Values of the AI SDK's specification, and plugins' state, as JSON: besides what JSON has they hold bytes, dates, URLs,
 * errors, maps and sets. Such a value is a list that begins with {@link TAG}, and so is a list that would be taken for
 * one.
 */
const TAG = '\u0000rich';

type Kind = 'bytes' | 'date' | 'url' | 'error' | 'map' | 'set' | 'list';

/**
 * A value as JSON. Functions, symbols and `undefined` are left out, as JSON leaves them out.
 *
 * @throws TypeError for what would arrive as something else
 */
export function toRich(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return tagged('bytes', Buffer.from(value).toString('base64'));
  if (value instanceof Date) return tagged('date', value.getTime());
  if (value instanceof URL) return tagged('url', value.href);
  if (value instanceof Error) return tagged('error', packError(value));
  if (value instanceof Map) return tagged('map', Array.from(value, toRich));
  if (value instanceof Set) return tagged('set', Array.from(value, toRich));
  if (isUncarried(value))
    throw new TypeError(
      `saw a value of the kind ${value.constructor.name}, expected JSON, bytes, dates, URLs, errors, maps or sets: it has to cross to another process`,
    );
  if (Array.isArray(value)) {
    const list = value.map(toRich);
    return list[0] === TAG ? tagged('list', list) : list;
  }
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toRich(member)]));
}

/** The value again. What is no value of these kinds is taken as it is: the pipeline checks what it means. */
export function fromRich(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value[0] === TAG ? untagged(value[1], value[2]) : value.map(fromRich);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fromRich(member)]));
}

function isUncarried(value: object): boolean {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof RegExp;
}

function tagged(kind: Kind, content: unknown): unknown {
  return [TAG, kind, content];
}

function untagged(kind: unknown, content: unknown): unknown {
  switch (kind as Kind) {
    case 'bytes':
      return new Uint8Array(Buffer.from(String(content), 'base64'));
    case 'date':
      return new Date(Number(content));
    case 'url':
      return new URL(String(content));
    case 'error':
      return unpackError(parseError(content));
    case 'map':
      return new Map(listOf(content).map(toEntry));
    case 'set':
      return new Set(listOf(content));
    case 'list':
      return listOf(content);
    default:
      throw new Error('saw a value of an unknown kind');
  }
}

function listOf(content: unknown): unknown[] {
  return Array.isArray(content) ? content.map(fromRich) : [];
}

function toEntry(pair: unknown): [unknown, unknown] {
  if (!Array.isArray(pair) || pair.length !== 2) throw new Error('saw a map whose entries are no pairs');
  return [pair[0], pair[1]];
}
