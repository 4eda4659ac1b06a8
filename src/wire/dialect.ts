import type { IncomingMessage } from 'node:http';
import { type GatewayError, toErrorBody } from '../errors.ts';

/** Paths that speak Anthropic's Messages API; everything else speaks OpenAI's. */
const ANTHROPIC = '/v1/messages';

/** The body of an error answer in Anthropic's shape. */
export interface AnthropicErrorBody {
  readonly type: 'error';
  readonly error: { readonly type: string; readonly message: string };
}

/**
 * The body of an error answer in the shape that the client of this request understands: Anthropic's below
 * `/v1/messages`, else OpenAI's. What counts is the path that the client asked for, not what a middleware made of it.
 * See README.md, "Errors".
 */
export function errorBodyFor(req: IncomingMessage, error: GatewayError): unknown {
  return isAnthropic(requestTarget(req)) ? toAnthropicErrorBody(error) : toErrorBody(error);
}

/** Anthropic's error shape. Source: Anthropic's API reference, heading "Errors". */
export function toAnthropicErrorBody(error: GatewayError): AnthropicErrorBody {
  return { type: 'error', error: { type: anthropicType(error.status), message: error.message } };
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

function anthropicType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 413) return 'request_too_large';
  if (status === 429) return 'rate_limit_error';
  if (status === 504) return 'timeout_error';
  return status < 500 ? 'invalid_request_error' : 'api_error';
}
