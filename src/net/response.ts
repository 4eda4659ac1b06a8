import { pipeline, Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { isGatewayError, SSRFBlockedError } from '../errors.ts';
import type { Deadline } from './deadline.ts';

/** An answer whose head has arrived. */
export interface RawAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly body: Readable;
}

export interface ResponseLimits {
  /** Largest body in bytes, counted both as sent and as decompressed. */
  readonly maxResponseBytes: number;
  /** Longest time without a byte while the caller waits for one. */
  readonly bodyTimeoutMs: number;
}

/** Where an answer came from. */
export interface AnswerSource {
  readonly method: string;
  readonly url: string;
  readonly redirected: boolean;
}

/** Decoders that end with an error when their input ends early, unlike those of the standard `fetch`. */
const DECODERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', () => createGunzip()],
  ['x-gzip', () => createGunzip()],
  ['deflate', () => createInflate()],
  ['br', () => createBrotliDecompress()],
]);

/** More layers than this are an attack on memory, not a compression. */
const MAX_CODINGS = 3;

/**
 * A standard `Response` whose body is decompressed, capped, and errors where it cannot be known to be whole.
 *
 * HTTP/1 lets a body end with its connection (RFC 9112 section 6.3), and then half an answer looks like a whole one.
 * Such a body is handed out as it comes, but its stream ends with an error, unless a compression's own end mark proves
 * that nothing is missing.
 *
 * @throws SSRFBlockedError `ssrf_blocked`, reason `response_too_large`, also from the body's stream
 */
export function toResponse(
  answer: RawAnswer,
  source: AnswerSource,
  limits: ResponseLimits,
  deadline: Deadline,
): Response {
  const { status, statusText, headers } = answer;
  const empty = source.method === 'HEAD' || status === 204 || status === 205 || status === 304;
  if (empty) {
    discard(answer);
    deadline.end();
  } else {
    requireLength(headers, limits.maxResponseBytes);
  }
  const body = empty ? null : bodyStream(answer, limits, deadline);
  const response = new Response(body, { status, statusText, headers });
  Object.defineProperties(response, { url: { value: source.url }, redirected: { value: source.redirected } });
  return response;
}

/** Drops an answer's body and, unless it has arrived already, its connection. */
export function discard(answer: RawAnswer): void {
  answer.body.on('error', () => {});
  answer.body.destroy();
}

function requireLength(headers: Headers, maxBytes: number): void {
  if (Number(headers.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

function bodyStream(answer: RawAnswer, limits: ResponseLimits, deadline: Deadline): ReadableStream {
  const { source, provesItsEnd } = decoded(answer, limits.maxResponseBytes);
  const chunks: AsyncIterator<Uint8Array> = source[Symbol.asyncIterator]();
  // Also when it is closed from below before anyone has read it.
  source.once('close', deadline.end);
  const isWhole = provesItsEnd || hasFraming(answer.headers);
  let received = 0;

  async function pull(controller: ReadableByteStreamController): Promise<void> {
    deadline.signal.throwIfAborted();
    deadline.enter('the wait for more of the body', limits.bodyTimeoutMs);
    const { done, value } = await chunks.next();
    deadline.leave();
    if (done) {
      if (!isWhole) throw new Error('the body ended with its connection: nothing tells whether it is whole');
      controller.close();
      controller.byobRequest?.respond(0);
      return;
    }
    received += value.byteLength;
    if (received > limits.maxResponseBytes) throw tooLarge(limits.maxResponseBytes);
    // Copied: the stream takes the buffer over, and sockets share theirs among chunks.
    controller.enqueue(new Uint8Array(value));
  }

  function abandon(): void {
    deadline.end();
    source.destroy();
    // Decoders hand the end of reading up only with the next chunk, which may never come.
    discard(answer);
  }

  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      try {
        await pull(controller);
      } catch (error) {
        abandon();
        throw bodyError(error, deadline);
      }
    },
    cancel: abandon,
  });
}

/** Undoes the content codings, outermost first. One that is not known leaves the body as it came (RFC 9110 8.4). */
function decoded(answer: RawAnswer, maxBytes: number): { source: Readable; provesItsEnd: boolean } {
  const names = (answer.headers.get('content-encoding') ?? '').toLowerCase().split(',');
  const codings = names.map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity');
  if (codings.length > MAX_CODINGS) {
    throw new Error(`content-encoding: ${codings.length} codings, expected at most ${MAX_CODINGS}`);
  }
  const decoders = codings.map((name) => DECODERS.get(name)).reverse();
  if (decoders.length === 0 || decoders.includes(undefined) || answer.headers.get('content-length') === '0') {
    return { source: answer.body, provesItsEnd: false };
  }
  let source = Readable.from(capped(answer.body, maxBytes), { objectMode: false });
  for (const decoder of decoders) {
    // An error reaches the reader through the last stage.
    if (decoder !== undefined) source = pipeline(source, decoder(), () => {});
  }
  return { source, provesItsEnd: true };
}

/** Counts what is sent too: input that decompresses to nothing could otherwise go on for ever. */
async function* capped(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let received = 0;
  for await (const chunk of body) {
    received += chunk.byteLength;
    if (received > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
}

/** True when HTTP/1 itself says where the body ends; undici checks that it is all there. */
function hasFraming(headers: Headers): boolean {
  const coding = headers.get('transfer-encoding');
  return coding === null ? headers.has('content-length') : coding.trim().toLowerCase() === 'chunked';
}

function bodyError(error: unknown, deadline: Deadline): unknown {
  if (deadline.signal.aborted) return deadline.signal.reason;
  return isGatewayError(error) ? error : new TypeError('terminated', { cause: error });
}

function tooLarge(maxBytes: number): SSRFBlockedError {
  return new SSRFBlockedError(
    'response_too_large',
    `Outbound request refused: the answer is larger than ${maxBytes} bytes`,
  );
}
