import type { ServerResponse } from 'node:http';
import { clientErrorStatus, GatewayError, isGatewayError } from '../errors.ts';
import { errorAnswerFor, type UpstreamSaid } from './dialect.ts';

/** What a client gets for whatever was thrown: an unknown error is a bare 500, its cause stays in the log. */
export function toClientError(thrown: unknown): GatewayError {
  if (isGatewayError(thrown)) return thrown;
  const status = clientErrorStatus(thrown);
  if (status === undefined) return new GatewayError('internal_error', 'Internal error', { cause: thrown });
  const { headers } = thrown as { headers?: GatewayError['headers'] };
  return new GatewayError(codeForStatus(status), clientMessage(thrown, status), {
    status,
    headers,
    cause: thrown,
  });
}

const ADVICE = /^(?:retry-after|www-authenticate|x-ratelimit-[a-z-]{1,40})$/i;
/** Visible ASCII and blanks (RFC 9110, section 5.5). */
const FIELD_VALUE = /^[\x20-\x7e]{1,1000}$/;

/** What a handler may have said about a body that is not sent now. */
const STALE_FIELDS: readonly string[] = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-range',
  'etag',
  'expires',
  'last-modified',
  'trailer',
  'transfer-encoding',
];

/**
 * Answers with an error, in the dialect of the request's path. When the head has gone out already nothing can be said
 * any more: the connection is cut, so that the client does not take half an answer for a whole one. An answer that is
 * complete stays as it is.
 *
 * @param said what an upstream has said of it, if it was one
 */
export function sendError(res: ServerResponse, error: GatewayError, said: UpstreamSaid = {}): void {
  if (res.writableEnded) return;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  for (const name of STALE_FIELDS) res.removeHeader(name);
  // Node's own for the status.
  res.statusMessage = '';
  setAdvice(res, error.headers);
  // RFC 9110, section 11.6.1: a 401 names at least one way to authenticate.
  if (error.status === 401 && !res.hasHeader('www-authenticate')) {
    res.setHeader('www-authenticate', 'Bearer');
  }
  const { status, body } = errorAnswerFor(res.req, error, said);
  sendJson(res, status, body);
}

/**
 * What a plugin may say beside an answer: when to come again, how to authenticate, how much is left. All else it could
 * set by its error (cookies, a CORS permission) is left out, and so is what HTTP does not allow.
 */
export function setAdvice(res: ServerResponse, headers: unknown): void {
  if (typeof headers !== 'object' || headers === null) return;
  for (const [name, value] of Object.entries(headers)) {
    if (!ADVICE.test(name) || typeof value !== 'string' || !FIELD_VALUE.test(value)) continue;
    res.setHeader(name, value);
  }
}

/** Answers with a JSON body of known length. */
export function sendJson(res: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  res.statusCode = status;
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.setHeader('content-length', bytes.length);
  res.end(bytes);
}

function codeForStatus(status: number): ConstructorParameters<typeof GatewayError>[0] {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found';
  if (status === 405) return 'method_not_allowed';
  if (status === 409) return 'conflict';
  if (status === 413) return 'body_too_large';
  if (status === 415) return 'unsupported_media_type';
  if (status === 429) return 'rate_limit_exceeded';
  return 'invalid_request';
}

/** `http-errors` marks messages that are not for clients with `expose: false`. */
function clientMessage(thrown: unknown, status: number): string {
  const { message, expose } = thrown as { message?: unknown; expose?: unknown };
  if (expose === false || typeof message !== 'string' || message === '') return `Request refused (${status})`;
  return message;
}
