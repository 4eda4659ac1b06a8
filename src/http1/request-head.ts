import { Http1Error } from './errors.ts';

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Section 5.5, `obs-text` included: one character is one byte on the wire. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** RFC 9112, section 3.2.1: what may stand between two spaces of the request line. */
const TARGET = /^\/[\x21-\x7e]*$/;
/** Fields that are the client's own business: they say where a request ends, or are of the connection. Lower case. */
export const RESERVED_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The beginning of every request to one path, checked once.
 *
 * @param target path and query
 * @param host value of the `Host` field
 * @throws Http1Error `HTTP1_INVALID_REQUEST`, for what would not be one line or one field of HTTP
 *
 * @example
 * ```ts
 * requestHead('/v1/chat/completions', 'api.example.com', [['content-type', 'application/json']]);
 * ```
 */
export function requestHead(
  target: string,
  host: string,
  headers: Iterable<readonly [name: string, value: string]>,
): string {
  if (!TARGET.test(target)) throw invalid('the request target is not a path of ASCII characters');
  if (!VALUE.test(host)) throw invalid('the host is not a value of a header');
  let text = `POST ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
  for (const [name, value] of headers) {
    checkName(name);
    text += fieldLine(name, value);
  }
  return text;
}

/**
 * A whole head.
 *
 * @param headers names, which are the caller's own constants, and values in turn
 * @throws Http1Error `HTTP1_INVALID_REQUEST`, for a value with a line break, which would begin another field
 */
export function completeHead(head: string, headers: readonly string[], length: number): string {
  let text = head;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    text += fieldLine(headers[at] as string, headers[at + 1] as string);
  }
  return `${text}content-length: ${length}\r\n\r\n`;
}

/** No field that says where the request ends, or that is none. */
function checkName(name: string): void {
  if (TOKEN.test(name) && !RESERVED_FIELDS.has(name.toLowerCase())) return;
  throw invalid(`${JSON.stringify(name)} is not the name of a header that can be sent`);
}

function fieldLine(name: string, value: string): string {
  if (!VALUE.test(value)) throw invalid(`the value of "${name}" has characters that no header may have`);
  return `${name}: ${value}\r\n`;
}

function invalid(what: string): Http1Error {
  return new Http1Error('HTTP1_INVALID_REQUEST', `Invalid request: ${what}`);
}
