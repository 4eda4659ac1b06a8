import type { IncomingMessage } from 'node:http';
import { type ErrorBody, type GatewayError, toErrorBody } from '../errors.ts';

/** Paths that speak Anthropic's Messages API; everything else speaks OpenAI's. */
const ANTHROPIC = '/v1/messages';

/** The path of the MCP server, which speaks JSON-RPC. */
export const MCP_PATH = '/mcp';

/** The status with which Anthropic's API says that it is overloaded. */
const OVERLOADED = 529;

/** The body of an error answer in Anthropic's shape. */
export interface AnthropicErrorBody {
  readonly type: 'error';
  readonly error: {
    readonly type: string;
    readonly message: string;
    readonly code: string | null;
    readonly param?: string;
  };
  readonly request_id?: string;
}

/** The body of an error answer in JSON-RPC's shape, with the gateway's own words as its data. */
export interface JsonRpcErrorBody {
  readonly jsonrpc: '2.0';
  readonly error: { readonly code: number; readonly message: string; readonly data: ErrorBody['error'] };
  /** Nobody has looked into the request. */
  readonly id: null;
}

/** What an upstream has said of its error. */
export interface UpstreamSaid {
  /** The body instead of the error's own. */
  readonly body?: ErrorBody | null;
  /** Its HTTP status, `null` when none came. */
  readonly status?: number | null;
}

/** An error as it is answered. */
export interface ErrorAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * An error in the shape that the client of this request understands: Anthropic's below `/v1/messages`, JSON-RPC's at
 * `/mcp`, else OpenAI's.
 * What counts is the path that the client asked for, not what a middleware made of it. See README.md, "Errors".
 */
export function errorAnswerFor(
  req: IncomingMessage,
  error: GatewayError,
  said: UpstreamSaid = {},
): ErrorAnswer {
  const body = said.body ?? toErrorBody(error);
  const target = requestTarget(req);
  if (isMcp(target)) return { status: error.status, body: toJsonRpcErrorBody(body, error.status) };
  if (!isAnthropic(target)) return { status: error.status, body };
  // Clients of that API tell an overload by its status from a fault.
  const status = said.status === OVERLOADED ? OVERLOADED : error.status;
  const { id } = req as { id?: unknown };
  return { status, body: toAnthropicErrorBody(body, status, typeof id === 'string' ? id : '') };
}

/**
 * Anthropic's error shape, with the gateway's `code` (and `param`, if there is one) beside the type. Source: Anthropic's
 * API reference, heading "Errors".
 *
 * @param status the HTTP status of the error, also where the head has gone out already
 * @param requestId as in `x-request-id`; empty when it is not known
 */
export function toAnthropicErrorBody(
  { error }: ErrorBody,
  status: number,
  requestId: string,
): AnthropicErrorBody {
  const { message, code, param } = error;
  return {
    type: 'error',
    error: {
      type: anthropicType(error, status),
      message,
      code,
      ...(param === null ? {} : { param }),
    },
    ...(requestId === '' ? {} : { request_id: requestId }),
  };
}

/**
 * JSON-RPC's error shape. Its codes tell a client's mistake from a fault; what it was is in `data`. Source: JSON-RPC 2.0,
 * heading "Error object"; -32000 is the first of those that an implementation defines.
 */
function toJsonRpcErrorBody({ error }: ErrorBody, status: number): JsonRpcErrorBody {
  const code = status >= 500 ? -32603 : -32000;
  return { jsonrpc: '2.0', error: { code, message: error.message, data: error }, id: null };
}

function isMcp(target: string): boolean {
  return target === MCP_PATH || target.startsWith(`${MCP_PATH}?`);
}

function isAnthropic(target: string): boolean {
  if (!target.startsWith(ANTHROPIC)) return false;
  const after = target.charAt(ANTHROPIC.length);
  return after === '' || after === '/' || after === '?';
}

/** Express keeps the client's target in `originalUrl` while routers and middleware change `url`. */
export function requestTarget(req: IncomingMessage): string {
  const { originalUrl } = req as { originalUrl?: unknown };
  return typeof originalUrl === 'string' ? originalUrl : (req.url ?? '/');
}

/** Types that OpenAI's API does not have: an upstream that says one of them speaks Anthropic's language. */
const ANTHROPIC_ONLY: ReadonlySet<string> = new Set([
  'billing_error',
  'not_found_error',
  'request_too_large',
  'api_error',
  'timeout_error',
  'overloaded_error',
]);

/** Codes of a gateway that has nothing left to serve with, for now. */
const OVERLOAD_CODES: ReadonlySet<string> = new Set(['no_deployment_available', 'gateway_draining']);

function anthropicType({ type, code }: ErrorBody['error'], status: number): string {
  if (ANTHROPIC_ONLY.has(type)) return type;
  if (status === OVERLOADED || (code !== null && OVERLOAD_CODES.has(code))) return 'overloaded_error';
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 413) return 'request_too_large';
  if (status === 429) return 'rate_limit_error';
  if (status === 504) return 'timeout_error';
  return status < 500 ? 'invalid_request_error' : 'api_error';
}
