import { type ErrorBody, type ErrorCode, GatewayError, toErrorBody } from '../../errors.ts';
import { mediaType } from '../../wire/headers.ts';
import { isObject } from '../json-value.ts';
import type { AnswerHeaders } from './headers.ts';
import type { Redact } from './redact.ts';
import { faultOf, type RequestFault } from './request-fault.ts';

/** Bytes of an upstream's error body that are read. */
export const MAX_ERROR_BYTES: number = 64 * 1024;
/** Characters of it that a client gets. */
const MAX_MESSAGE_LENGTH = 2000;

/**
 * Whether another attempt may help: at once and anywhere, on another deployment only, or not at all. `unfit`: the
 * request has not been sent, since it cannot be said in the deployment's dialect; others of the group may take it.
 */
export type Retry = 'anywhere' | 'elsewhere' | 'never' | 'unfit';

export interface UpstreamFailureOptions {
  readonly retry: Retry;
  readonly fault?: RequestFault | null;
  /** HTTP status of the upstream, `null` when none came. */
  readonly status?: number | null;
  /** `Retry-After` as the upstream wrote it. */
  readonly retryAfter?: string | null;
  /** The body that the client gets, when it is not the one of `error`. */
  readonly body?: ErrorBody;
}

/** An attempt that failed: what the client gets if it was the last one, and whether another one makes sense. */
export class UpstreamFailure extends Error {
  readonly error: GatewayError;
  /** The body that the client gets, `null` for the one of `error`. */
  readonly body: ErrorBody | null;
  readonly retry: Retry;
  /** Set where models with other limits may take the request. */
  readonly fault: RequestFault | null;
  readonly status: number | null;
  readonly retryAfter: string | null;

  constructor(error: GatewayError, options: UpstreamFailureOptions) {
    super(error.message, { cause: error });
    this.name = 'UpstreamFailure';
    this.error = error;
    this.body = options.body ?? null;
    this.retry = options.retry;
    this.fault = options.fault ?? null;
    this.status = options.status ?? null;
    this.retryAfter = options.retryAfter ?? null;
  }
}

/** The upstream could not be reached, or the connection broke before it had answered. */
export function unreachable(deployment: string, cause: Error): UpstreamFailure {
  return new UpstreamFailure(
    new GatewayError(
      'upstream_error',
      `The upstream of "${deployment}" could not be reached${codeOf(cause)}`,
      {
        cause,
      },
    ),
    { retry: 'anywhere' },
  );
}

/** The upstream did not answer, or stopped answering, within its time. */
export function timedOut(deployment: string, cause?: Error): UpstreamFailure {
  return new UpstreamFailure(
    new GatewayError('upstream_timeout', `The upstream of "${deployment}" did not answer in time`, { cause }),
    { retry: 'anywhere' },
  );
}

/** The upstream answered with something that cannot be passed on. `what` completes the sentence. */
export function unusable(
  deployment: string,
  what: string,
  status: number | null,
  cause?: Error,
): UpstreamFailure {
  return new UpstreamFailure(
    new GatewayError('upstream_error', `The upstream of "${deployment}" ${what}`, { cause }),
    { retry: 'anywhere', status },
  );
}

/**
 * An answer with an error status.
 *
 * | upstream | client |
 * |---|---|
 * | 400, 404, 413, 422 and other 4xx | the same status; the upstream's message, type, param and code |
 * | 401, 403 | 502 `upstream_error` without the upstream's words: it is the gateway's key that was refused |
 * | 408, 504 | 504 `upstream_timeout` |
 * | 429 | 429 `rate_limit_exceeded`, `Retry-After` kept |
 * | 3xx, other 5xx | 502 `upstream_error` with the upstream's message |
 */
export function fromErrorStatus(
  deployment: string,
  status: number,
  headers: AnswerHeaders,
  bytes: Buffer,
  redact: Redact,
): UpstreamFailure {
  if (status === 401 || status === 403) return refusedKey(deployment, status);
  const upstream = readErrorBody(headers, bytes, redact);
  const message = upstream.message ?? `The upstream of "${deployment}" answered with status ${status}`;
  const options = { status, retryAfter: readRetryAfter(headers['retry-after']) };
  if (status === 408 || status === 504) {
    return new UpstreamFailure(new GatewayError('upstream_timeout', message), {
      ...options,
      retry: 'anywhere',
    });
  }
  if (status === 429) {
    return new UpstreamFailure(new GatewayError('rate_limit_exceeded', message), {
      ...options,
      retry: 'anywhere',
    });
  }
  if (status < 400 || status >= 500) {
    return new UpstreamFailure(new GatewayError('upstream_error', message), {
      ...options,
      retry: 'anywhere',
    });
  }
  const error = new GatewayError(codeForStatus(status), message, { status });
  const fault = faultOf(upstream.code, upstream.message);
  return new UpstreamFailure(error, { ...options, retry: 'never', fault, body: mergeBody(error, upstream) });
}

function refusedKey(deployment: string, status: number): UpstreamFailure {
  const error = new GatewayError(
    'upstream_error',
    `The upstream of "${deployment}" refused the gateway's credentials`,
    { hint: `check the api_key of "${deployment}" in model_list: the upstream answered ${status}` },
  );
  return new UpstreamFailure(error, { retry: 'elsewhere', status });
}

interface UpstreamErrorBody {
  readonly message: string | null;
  readonly type: string | null;
  readonly param: string | null;
  readonly code: string | null;
}

const NO_BODY: UpstreamErrorBody = { message: null, type: null, param: null, code: null };

/** The upstream's words in whichever of the common shapes they come. A page of HTML is nothing for an API client. */
function readErrorBody(headers: AnswerHeaders, bytes: Buffer, redact: Redact): UpstreamErrorBody {
  const text = bytes.toString('utf8', 0, MAX_ERROR_BYTES);
  const json = parse(text);
  if (json === undefined) {
    const plain = mediaType(headers['content-type']) === 'text/plain' ? clean(text, redact) : null;
    return { ...NO_BODY, message: plain };
  }
  const outer = Array.isArray(json) ? (json[0] as unknown) : json;
  if (!isObject(outer)) return NO_BODY;
  const inner = isObject(outer.error) ? outer.error : outer;
  return {
    message: clean(inner.message ?? outer.error ?? outer.message ?? outer.detail, redact),
    type: clean(inner.type, redact),
    param: clean(inner.param, redact),
    code: clean(inner.code, redact),
  };
}

function mergeBody(error: GatewayError, upstream: UpstreamErrorBody): ErrorBody {
  const own = toErrorBody(error).error;
  return {
    error: {
      message: own.message,
      type: upstream.type ?? own.type,
      param: upstream.param ?? own.param,
      code: upstream.code ?? own.code,
    },
  };
}

function codeForStatus(status: number): ErrorCode {
  if (status === 404) return 'not_found';
  if (status === 413) return 'body_too_large';
  if (status === 415) return 'unsupported_media_type';
  return 'invalid_request';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function clean(value: unknown, redact: Redact): string | null {
  if (typeof value !== 'string') return null;
  // Redacted before it is cut: half a key would no longer be recognised.
  const text = redact(value).trim().slice(0, MAX_MESSAGE_LENGTH);
  return text === '' ? null : text;
}

/** Seconds or an HTTP date (RFC 9110, section 10.2.3). Anything else could not be written into a head. */
function readRetryAfter(value: AnswerHeaders[string]): string | null {
  return typeof value === 'string' && /^[\w ,:+-]{1,40}$/.test(value) ? value : null;
}

/** The code of a system error names the fault (`ECONNREFUSED`); its message would name the address. */
function codeOf(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? ` (${code})` : '';
}
