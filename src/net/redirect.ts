import { SSRFBlockedError } from '../errors.ts';
import type { OutboundRequest } from './outbound-request.ts';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Describe a body; they go when it goes. */
const BODY_HEADERS: readonly string[] = [
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
];

/**
 * All that another origin gets to see. An allowlist, because nobody knows all names of credentials: besides
 * `authorization` and `cookie` there are `x-api-key`, `api-key`, `x-goog-api-key`, `x-amz-security-token`, …
 */
const HEADERS_FOR_OTHER_ORIGINS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'range',
  'user-agent',
  ...BODY_HEADERS,
]);

/**
 * Where an answer sends the caller on to.
 *
 * @returns the URL, unchecked; `null` when the answer is no redirect
 * @throws SSRFBlockedError `ssrf_blocked`, reason `redirect`, when the target cannot be read
 */
export function redirectTarget(status: number, location: string | null, from: URL): URL | null {
  if (!REDIRECTS.has(status) || location === null) return null;
  // Header values are bytes; servers put UTF-8 there (Fetch standard, "location URL").
  const target = URL.parse(Buffer.from(location, 'latin1').toString('utf8'), from);
  if (target === null) {
    throw new SSRFBlockedError(
      'redirect',
      `Outbound request refused: ${from.origin} redirects to what is no URL`,
    );
  }
  if (target.hash === '') target.hash = from.hash;
  return target;
}

/**
 * The request for the next hop. Source: Fetch standard, "HTTP-redirect fetch"; stricter in what other origins get.
 *
 * @throws TypeError when a body that was streamed would have to be sent again
 */
export function redirectRequest(
  request: OutboundRequest,
  status: number,
  from: URL,
  to: URL,
): OutboundRequest {
  const headers = new Headers(request.headers);
  if (from.origin !== to.origin) {
    for (const name of request.headers.keys()) {
      if (!HEADERS_FOR_OTHER_ORIGINS.has(name)) headers.delete(name);
    }
  }
  if (!becomesGet(status, request.method)) {
    if (request.body instanceof ReadableStream) {
      throw new TypeError(`fetch failed: a streamed body cannot be sent again after a ${status}`);
    }
    return { ...request, headers };
  }
  for (const name of BODY_HEADERS) headers.delete(name);
  return { method: 'GET', headers, body: null };
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'GET' && method !== 'HEAD';
  return (status === 301 || status === 302) && method === 'POST';
}
