import { SSRFBlockedError } from '../errors.ts';
import type { OutboundInit } from '../plugin-api/context.ts';

/** A request as it goes out on one hop. */
export interface OutboundRequest {
  readonly method: string;
  readonly headers: Headers;
  /** Bytes can be sent again after a redirect, a stream cannot. */
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
}

/** A caller's `init`, read once. */
export interface ParsedInit {
  readonly request: OutboundRequest;
  readonly redirect: 'follow' | 'error' | 'manual';
  readonly signal: AbortSignal | null;
}

/**
 * Headers that belong to the connection, not to the caller. `host` would also choose the TLS server name; the rest
 * could make two servers see different requests (RFC 9112 section 11.2).
 */
const CONNECTION_HEADERS: readonly string[] = [
  'host',
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/**
 * Reads a caller's options. Five of the standard's are taken, by name; whatever else is there (`dispatcher`, `agent`,
 * `proxy`, `socketPath`, …) is not looked at, so that none can lead around the policy. Headers that belong to the
 * connection are left out, as browsers do.
 *
 * @throws SSRFBlockedError `ssrf_blocked`, reason `method`, for CONNECT, TRACE and TRACK
 * @throws TypeError for what the standard `fetch` refuses, and for `integrity`, which is not checked here
 */
export async function parseInit(url: URL, init: OutboundInit): Promise<ParsedInit> {
  const { method = 'GET', headers, body = null, redirect = 'follow', signal = null, integrity } = init;
  refuseTunnel(method);
  if (integrity !== undefined && integrity !== '') throw new TypeError('fetch: integrity is not supported');
  // The platform's own class validates and reads all of it: methods, header syntax, kinds of body, content types.
  const standard = new Request(url, {
    method,
    headers,
    body,
    redirect,
    signal,
    duplex: 'half',
  } as RequestInit);
  const streams = typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
  return {
    request: {
      method: standard.method,
      headers: withDefaults(standard.headers),
      body: streams || standard.body === null ? standard.body : new Uint8Array(await standard.arrayBuffer()),
    },
    redirect: standard.redirect,
    signal,
  };
}

/** They make a proxy open a tunnel or a server echo credentials. */
function refuseTunnel(method: string): void {
  if (!/^(?:connect|trace|track)$/i.test(method)) return;
  throw new SSRFBlockedError('method', `Outbound request refused: method ${JSON.stringify(method)}`);
}

function withDefaults(given: Headers): Headers {
  const headers = new Headers(given);
  for (const name of CONNECTION_HEADERS) headers.delete(name);
  if (!headers.has('accept')) headers.set('accept', '*/*');
  if (!headers.has('user-agent')) headers.set('user-agent', 'routeiq-gateway');
  // A part of a compressed file cannot be decompressed (Fetch standard, "HTTP-network-or-cache fetch").
  if (!headers.has('accept-encoding')) {
    headers.set('accept-encoding', headers.has('range') ? 'identity' : 'gzip, br');
  }
  return headers;
}
