import { Readable } from 'node:stream';
import type { Agent } from 'undici';
import { isGatewayError, SSRFBlockedError } from '../errors.ts';
import type { OutboundInit } from '../plugin-api/context.ts';
import { type Deadline, startDeadline } from './deadline.ts';
import { type Destination, parseOutboundUrl, toDestination } from './destination.ts';
import type { Exceptions, Trust } from './exceptions.ts';
import { type OutboundRequest, type ParsedInit, parseInit } from './outbound-request.ts';
import { redirectRequest, redirectTarget } from './redirect.ts';
import { discard, type RawAnswer, type ResponseLimits, toResponse } from './response.ts';

/** Bounds of one `fetch`. */
export interface FetchLimits extends ResponseLimits {
  /** Longest wait of one hop for the head of its answer, connecting and sending included. Default 300000. */
  readonly headersTimeoutMs: number;
  /** Longest time without a byte of the body. Default 300000. */
  readonly bodyTimeoutMs: number;
  /** From the call to the last byte of the body. Default 600000. */
  readonly totalTimeoutMs: number;
  /** Default 32 MiB. */
  readonly maxResponseBytes: number;
  /** Default 20, the standard's. */
  readonly maxRedirects: number;
}

export interface FetchParts {
  readonly exceptions: Exceptions;
  /** One per trust, each with the guarded connector. */
  readonly agents: Readonly<Record<Trust, Agent>>;
  readonly limits: FetchLimits;
}

interface Hop {
  readonly destination: Destination;
  readonly request: OutboundRequest;
}

/**
 * Builds `fetch`. It stands on undici's `Agent` rather than on undici's `fetch`, which decompresses without a limit,
 * takes half a gzip stream for a whole one and follows redirects with credentials in their headers.
 */
export function createOutboundFetch(
  parts: FetchParts,
): (url: string | URL, init?: OutboundInit) => Promise<Response> {
  return async (input, init) => {
    const destination = toDestination(parseOutboundUrl(input), parts.exceptions);
    const parsed = await parseInit(destination.url, init ?? {});
    const deadline = startDeadline(parts.limits.totalTimeoutMs, parsed.signal);
    try {
      deadline.signal.throwIfAborted();
      return await follow({ destination, request: parsed.request }, parsed, parts, deadline);
    } catch (error) {
      deadline.end();
      throw fetchError(error, deadline);
    }
  };
}

async function follow(
  first: Hop,
  { redirect }: ParsedInit,
  parts: FetchParts,
  deadline: Deadline,
): Promise<Response> {
  let hop = first;
  for (let redirects = 0; ; redirects++) {
    const { url } = hop.destination;
    const answer = await send(hop, parts, deadline);
    const target =
      redirect === 'manual' ? null : redirectTarget(answer.status, answer.headers.get('location'), url);
    if (target === null) {
      const source = { method: hop.request.method, url: withoutHash(url), redirected: redirects > 0 };
      return respond(answer, source, parts, deadline);
    }
    discard(answer);
    if (redirect === 'error') throw new Error(`unexpected redirect (${answer.status})`);
    if (redirects === parts.limits.maxRedirects) throw tooManyRedirects(parts.limits.maxRedirects);
    hop = {
      destination: toDestination(target, parts.exceptions),
      request: redirectRequest(hop.request, answer.status, url, target),
    };
  }
}

async function send(
  { destination, request }: Hop,
  { agents, limits }: FetchParts,
  deadline: Deadline,
): Promise<RawAnswer> {
  const { url, trust } = destination;
  deadline.enter('the wait for the head of the answer', limits.headersTimeoutMs);
  const answer = await agents[trust].request({
    origin: url.origin,
    path: url.pathname + url.search,
    method: request.method as 'GET',
    headers: [...request.headers].flat(),
    body: request.body instanceof ReadableStream ? Readable.fromWeb(request.body) : request.body,
    signal: deadline.signal,
    responseHeaders: 'raw',
  });
  deadline.leave();
  try {
    return { ...readHead(answer), body: answer.body };
  } catch (error) {
    answer.body.on('error', () => {}).destroy();
    throw error;
  }
}

/** undici types raw headers as parsed ones; they are names and values by turns, as latin1 text. */
function readHead(answer: {
  readonly statusCode: number;
  readonly statusText: string;
  readonly headers: unknown;
}): Omit<RawAnswer, 'body'> {
  const flat: readonly unknown[] = Array.isArray(answer.headers) ? answer.headers : [];
  const headers = new Headers();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    headers.append(String(flat[index]), String(flat[index + 1]));
  }
  return { status: answer.statusCode, statusText: answer.statusText, headers };
}

function respond(
  answer: RawAnswer,
  source: { readonly method: string; readonly url: string; readonly redirected: boolean },
  { limits }: FetchParts,
  deadline: Deadline,
): Response {
  try {
    return toResponse(answer, source, limits, deadline);
  } catch (error) {
    discard(answer);
    throw error;
  }
}

function withoutHash(url: URL): string {
  const bare = new URL(url);
  bare.hash = '';
  return bare.href;
}

function tooManyRedirects(limit: number): SSRFBlockedError {
  return new SSRFBlockedError('redirect', `Outbound request refused: more than ${limit} redirects`);
}

/** The policy's own errors and the reason of an abort as they are, the rest as the standard `fetch` has it. */
function fetchError(error: unknown, deadline: Deadline): unknown {
  if (deadline.signal.aborted) return deadline.signal.reason;
  return isGatewayError(error) ? error : new TypeError('fetch failed', { cause: error });
}
