import { GatewayError } from '../errors.ts';

/** One part of a form. */
export interface FormPart {
  readonly name: string;
  /** It has a file name: its value is no text of a field. */
  readonly isFile: boolean;
  /** First byte of the value. */
  readonly start: number;
  /** The byte after the value's last. */
  readonly end: number;
}

const CRLF = Buffer.from('\r\n');
const HEAD_END = Buffer.from('\r\n\r\n');
const DASHES = '--';
const CLOSE = Buffer.from(DASHES);
/** `bchars` of RFC 2046, section 5.1.1: at most 70, the last no space. */
const BOUNDARY = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;
const MAX_HEAD_BYTES = 8 * 1024;
const MAX_PARTS = 1000;

/** `form-data; name="model"`: tokens and quoted strings (RFC 7578, section 4.2). */
const PARAMETER = /;[ \t]*([\w!#$%&'+.^`|~*-]+)=(?:"([^"\r\n]*)"|([\w!#$%&'+.^`|~-]+))[ \t]*/gy;

/**
 * The boundary of a `multipart/form-data` body.
 *
 * @param contentType the value as the client sent it
 * @throws GatewayError `unsupported_media_type`: another type, or no boundary that every reader takes for the same
 */
export function boundaryOf(contentType: string): string {
  const match = /^multipart\/form-data[ \t]*(?=;)/i.exec(contentType);
  const found = match === null ? null : parseParameters(contentType, match[0].length);
  const boundary = found?.get('boundary');
  if (boundary !== undefined && BOUNDARY.test(boundary)) return boundary;
  throw new GatewayError(
    'unsupported_media_type',
    `Content-Type is ${JSON.stringify(contentType.slice(0, 120))}, expected multipart/form-data with one boundary`,
  );
}

/**
 * Finds the parts of a form. What readers are known to take differently is refused, since a part that is hidden from
 * the gateway could name another model to the upstream: text before the first boundary or behind the last, the
 * boundary anywhere but at the beginning of a line, lines that end in a line feed alone, folded or repeated headers,
 * escapes in a name, transfer encodings.
 *
 * @throws GatewayError `invalid_request`, naming what was seen
 */
export function scanForm(bytes: Buffer, boundary: string): FormPart[] {
  const delimiter = Buffer.from(DASHES + boundary);
  const parts: FormPart[] = [];
  let at = 0;
  if (!startsWith(bytes, delimiter, 0)) throw invalidForm('it does not begin with its boundary');
  for (;;) {
    at += delimiter.length;
    if (startsWith(bytes, CLOSE, at)) break;
    if (!startsWith(bytes, CRLF, at)) throw invalidForm('a boundary is not at the end of its line');
    if (parts.length === MAX_PARTS) throw invalidForm(`it has more than ${MAX_PARTS} parts`);
    const next = bytes.indexOf(delimiter, at);
    if (next === -1) throw invalidForm('it ends before its last boundary');
    // One CRLF cannot end the boundary's line and begin the next boundary's at once.
    if (next < at + 2 * CRLF.length || !startsWith(bytes, CRLF, next - CRLF.length)) {
      throw invalidForm('a boundary is not at the beginning of a line');
    }
    parts.push(toPart(bytes, at + CRLF.length, next - CRLF.length));
    at = next;
  }
  assertNothingBehind(bytes, at + CLOSE.length);
  return parts;
}

function assertNothingBehind(bytes: Buffer, at: number): void {
  if (at === bytes.length) return;
  if (at + CRLF.length === bytes.length && startsWith(bytes, CRLF, at)) return;
  throw invalidForm('it goes on behind its last boundary');
}

/** The part between `from` and `end`: its head, an empty line, its value. */
function toPart(bytes: Buffer, from: number, end: number): FormPart {
  const headEnd = bytes.subarray(from, Math.min(end, from + MAX_HEAD_BYTES)).indexOf(HEAD_END);
  if (headEnd === -1) throw invalidForm('a part has no head that ends in an empty line');
  const headers = parseHead(bytes.toString('utf8', from, from + headEnd));
  const encoding = headers.get('content-transfer-encoding')?.toLowerCase() ?? 'binary';
  if (!['binary', '8bit', '7bit'].includes(encoding)) throw invalidForm('a part has a transfer encoding');
  const disposition = headers.get('content-disposition') ?? '';
  const parameters = parseDisposition(disposition);
  const name = parameters.get('name');
  if (name === undefined) throw invalidForm('a part has no name');
  const isFile = parameters.has('filename') || parameters.has('filename*');
  return { name, isFile, start: from + headEnd + HEAD_END.length, end };
}

function parseHead(head: string): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of head.split('\r\n')) {
    const match = /^([\w-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/.exec(line);
    const [, name = '', value = ''] = match ?? [];
    if (match === null || headers.has(name.toLowerCase())) throw invalidForm('a part has a malformed head');
    headers.set(name.toLowerCase(), value);
  }
  return headers;
}

function parseDisposition(value: string): ReadonlyMap<string, string> {
  const match = /^form-data[ \t]*(?=;)/i.exec(value);
  const parameters = match === null ? null : parseParameters(value, match[0].length);
  // A backslash before a quote ends the string for one reader and goes on with it for another.
  if (parameters === null || value.includes('\\"') || parameters.has('name*')) {
    throw invalidForm('a part has a malformed Content-Disposition');
  }
  return parameters;
}

/** `null` when they are malformed or one stands there twice. */
function parseParameters(value: string, from: number): ReadonlyMap<string, string> | null {
  const parameters = new Map<string, string>();
  let at = from;
  while (at < value.length) {
    PARAMETER.lastIndex = at;
    const match = PARAMETER.exec(value);
    if (match === null) return null;
    const [whole, name = '', quoted, token = ''] = match;
    if (parameters.has(name.toLowerCase())) return null;
    parameters.set(name.toLowerCase(), quoted ?? token);
    at += whole.length;
  }
  return parameters;
}

function startsWith(bytes: Buffer, expected: Buffer, at: number): boolean {
  return bytes.subarray(at, at + expected.length).equals(expected);
}

function invalidForm(why: string): GatewayError {
  return new GatewayError('invalid_request', `The request body is no valid multipart/form-data: ${why}`);
}
