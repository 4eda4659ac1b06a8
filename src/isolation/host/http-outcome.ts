import { RubbishError } from '../channel/frames.ts';
import type { CrossingHead, HandedOn, HttpOutcome, InterimAnswer, WholeAnswer } from '../protocol.ts';

/** What may be a member, and what it has to be. By hand: it is checked for every request. */
type Shape = Readonly<Record<string, (value: unknown) => boolean>>;

const ANSWER_HEAD: Shape = { status: isStatus, message: isMessage, headers: isTexts };
const HEAD: Shape = { ...ANSWER_HEAD, stream: Number.isInteger };
const WHOLE_ANSWER: Shape = { ...ANSWER_HEAD, body: isBytes };
const HANDED_ON: Shape = {
  url: (value) => isText(value) && value.startsWith('/'),
  method: isText,
  setHeaders: (value) => isFields(value, isHeader),
  removedHeaders: isTexts,
  body: isBody,
  status: isStatus,
  message: isMessage,
  setAnswer: (value) => isFields(value, (each) => typeof each === 'number' || isHeader(each)),
  removedAnswer: isTexts,
  listens: (value) => typeof value === 'boolean',
};
/** All but 101, after which there is no HTTP. */
const INTERIM: Shape = {
  status: (value) => isStatus(value) && (value as number) < 200 && value !== 101,
  headers: isPairs,
};
/** What Node refuses in a status line: where it is written, it would be no more the plugin's failure. */
const UNSAYABLE = /[^\t\x20-\x7e\x80-\xff]/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** @throws RubbishError */
export function parseHead(value: unknown): CrossingHead {
  return parseWhole<CrossingHead>(value, HEAD, "an answer's head");
}

/** @throws RubbishError */
export function parseHandedOn(value: unknown): HandedOn {
  return parse(value, HANDED_ON, 'what a handler did to a request') as HandedOn;
}

/** @throws RubbishError */
export function parseInterim(value: unknown): InterimAnswer {
  return parseWhole<InterimAnswer>(value, INTERIM, 'an interim answer');
}

/**
 * Names and values, one after the other.
 *
 * @throws RubbishError
 */
export function parseTrailers(value: unknown): readonly string[] {
  if (isPairs(value)) return value;
  throw new RubbishError('expected the names and values of trailers, saw something else');
}

/** @throws RubbishError */
export function parseOutcome(value: unknown): HttpOutcome {
  const { next, answer } = parse(value, { next: isAny, answer: isAny }, 'what became of a request');
  if (next !== undefined && answer !== undefined)
    throw new RubbishError('saw a request that was answered and handed on, expected one of them');
  if (next !== undefined) return { next: parseHandedOn(next) };
  if (answer !== undefined) return { answer: parseWhole<WholeAnswer>(answer, WHOLE_ANSWER, 'an answer') };
  return {};
}

/** Every member has to be there. */
function parseWhole<T>(value: unknown, shape: Shape, expected: string): T {
  const fields = parse(value, shape, expected);
  const missing = Object.keys(shape).find((key) => !Object.hasOwn(fields, key));
  if (missing === undefined) return fields as T;
  throw new RubbishError(`expected ${expected}, saw none of its "${missing}"`);
}

function parse(value: unknown, shape: Shape, expected: string): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new RubbishError(`expected ${expected}, saw no object`);
  for (const key of Object.keys(value)) {
    const fits = Object.hasOwn(shape, key) && shape[key]?.(value[key]) === true;
    if (!fits) throw new RubbishError(`expected ${expected}, saw something else at "${key}"`);
  }
  return value;
}

/** Header fields. The name that sets a prototype when it is assigned is none of a header. */
function isFields(value: unknown, fits: (each: unknown) => boolean): boolean {
  return isObject(value) && Object.keys(value).every((name) => name !== '__proto__' && fits(value[name]));
}

function isBody(value: unknown): boolean {
  return isObject(value) && (isOnly(value, 'json') || (isOnly(value, 'base64') && isBase64(value.base64)));
}

function isBytes(value: unknown): boolean {
  if (!isObject(value)) return false;
  if (isOnly(value, 'text')) return isText(value.text);
  return isOnly(value, 'base64') && isBase64(value.base64);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOnly(value: object, key: string): boolean {
  return Object.hasOwn(value, key) && Object.keys(value).length === 1;
}

function isBase64(value: unknown): boolean {
  return isText(value) && value.length % 4 === 0 && BASE64.test(value);
}

function isStatus(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 100 && (value as number) <= 999;
}

function isMessage(value: unknown): boolean {
  return isText(value) && !UNSAYABLE.test(value);
}

function isHeader(value: unknown): boolean {
  return isText(value) || isTexts(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isText);
}

function isPairs(value: unknown): value is string[] {
  return isTexts(value) && value.length % 2 === 0;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isAny(): boolean {
  return true;
}
