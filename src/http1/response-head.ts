import { Http1Error } from './errors.ts';
import type { ResponseHeaders } from './types.ts';

/**
 * Status line and field lines, each but the last with its line break (RFC 9112, sections 4 and 5). Nothing is
 * lenient: no folded lines, no space before a colon, no line that ends with LF alone. What one reader takes for a field
 * and another does not is how responses are smuggled.
 */
const HEAD =
  /^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*$/;
const LINE_BREAK = '\r\n';
/** Where the minor version and the status stand. */
const MINOR_AT = 7;
const STATUS_AT = 9;
const SPACE = 0x20;
const TAB = 0x09;

/** How the end of a body is known (RFC 9112, section 6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

/** The head of a response, read. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly framing: Framing;
  /** Whether another request may follow on the connection, once the body is over. */
  readonly keepsAlive: boolean;
}

/**
 * Reads the head of a response to a POST request.
 *
 * @param text one character per byte, without the empty line behind it
 * @throws Http1Error `HTTP1_INVALID_RESPONSE`
 */
export function parseHead(text: string): ResponseHead {
  if (!HEAD.test(text)) throw invalid('its head is not one of HTTP/1.1');
  const status = Number(text.slice(STATUS_AT, STATUS_AT + 3));
  const headers = parseFields(text);
  const framing = framingOf(status, headers);
  return { status, headers, framing, keepsAlive: keepsAlive(text, headers, framing, status) };
}

/** The checked lines as an object. */
function parseFields(text: string): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  let at = text.indexOf(LINE_BREAK);
  while (at !== -1) {
    const colon = text.indexOf(':', at);
    const end = text.indexOf(LINE_BREAK, colon);
    const name = text.slice(at + LINE_BREAK.length, colon).toLowerCase();
    addField(headers, name, trimmed(text, colon + 1, end === -1 ? text.length : end));
    at = end;
  }
  return headers;
}

function addField(headers: Record<string, string | string[]>, name: string, value: string): void {
  // An assignment would set the prototype, or be lost.
  if (name === '__proto__') return;
  if (!Object.hasOwn(headers, name)) {
    headers[name] = value;
    return;
  }
  const known = headers[name] as string | string[];
  if (typeof known === 'string') headers[name] = [known, value];
  else known.push(value);
}

/** Without the white space of HTTP around it, which is less than JavaScript's. */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === SPACE || code === TAB;
}

function framingOf(status: number, headers: ResponseHeaders): Framing {
  const { 'transfer-encoding': coding, 'content-length': length } = headers;
  if (coding !== undefined && length !== undefined) {
    throw invalid('it has both Content-Length and Transfer-Encoding');
  }
  if (status === 204 || status === 304) return NO_BODY;
  if (coding !== undefined) return chunkedBy(coding);
  if (length === undefined) return UNTIL_CLOSE;
  // Two of them are refused even if they agree: somebody in between may have believed one of them alone.
  if (typeof length !== 'string' || !/^\d{1,15}$/.test(length))
    throw invalid('its Content-Length is no length');
  return { kind: 'length', bytes: Number(length) };
}

const NO_BODY: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'close' };

/**
 * Any other coding has to be asked for with `TE` (RFC 9112, section 7.4), and nobody here could undo it: the body would
 * be taken for what it is not.
 */
function chunkedBy(coding: string | string[]): Framing {
  if (coding === 'chunked' || (typeof coding === 'string' && coding.toLowerCase() === 'chunked'))
    return CHUNKED;
  throw invalid('its Transfer-Encoding is not "chunked" alone');
}

/** RFC 9112, section 9.3. What a response without a body has sent nevertheless would be taken for the next one. */
function keepsAlive(text: string, headers: ResponseHeaders, framing: Framing, status: number): boolean {
  const { connection } = headers;
  if (framing.kind === 'close') return false;
  if (framing.kind === 'none' && status !== 304 && hasBody(headers)) return false;
  const isPersistent = text.charAt(MINOR_AT) === '1';
  // RFC 9112, section 6.1: HTTP/1.0 has no such coding, so somebody in between may not have known where the body ends.
  if (!isPersistent && framing.kind === 'chunked') return false;
  if (connection === undefined) return isPersistent;
  // The common answer of an older server.
  if (connection === 'keep-alive') return true;
  const options = String(connection)
    .toLowerCase()
    .split(',')
    .map((option) => option.trim());
  if (options.includes('close')) return false;
  return isPersistent || options.includes('keep-alive');
}

function hasBody({ 'transfer-encoding': coding, 'content-length': length }: ResponseHeaders): boolean {
  return coding !== undefined || (length !== undefined && length !== '0');
}

function invalid(what: string): Http1Error {
  return new Http1Error('HTTP1_INVALID_RESPONSE', `Invalid response: ${what}`);
}
