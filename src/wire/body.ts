import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** The client hung up before its request was complete. Nobody is left to be answered. */
export class ClientGoneError extends Error {
  readonly code = 'client_gone';

  constructor() {
    super('The client closed the connection before the request was complete');
    this.name = 'ClientGoneError';
  }
}

/** Reads a request's body into one buffer; see {@link readPieces}. */
export async function readBody(req: IncomingMessage, limit: number): Promise<Buffer> {
  return inOne(await readPieces(req, limit));
}

/** The bytes of `pieces`, copied together when there are several. */
export function inOne(pieces: readonly Buffer[]): Buffer {
  const [first = NOTHING] = pieces;
  return pieces.length < 2 ? first : Buffer.concat(pieces);
}

/**
 * Reads a request's body, in the pieces that it came in: copied together, a long prompt costs as much again as its
 * check.
 *
 * A body that is announced as larger than `limit` bytes is refused before any of it is read, any other as soon as it
 * has grown past it. The rest of a refused body is read and thrown away, up to `limit` bytes more: closing while the
 * client still sends would reset the connection and take the answer with it.
 *
 * @throws GatewayError `body_too_large`
 * @throws ClientGoneError when the client hangs up
 */
export function readPieces(req: IncomingMessage, limit: number): Promise<readonly Buffer[]> {
  if (req.readableEnded) return Promise.resolve([]);
  // Closed already: no event will tell.
  if (req.destroyed) return Promise.reject(new ClientGoneError());
  const announced = Number(req.headers['content-length'] ?? 0);
  if (announced > limit) {
    discard(req, limit);
    return Promise.reject(tooLarge(limit));
  }
  return new Promise((resolve, reject) => collect(req, limit, resolve, reject));
}

function collect(
  req: IncomingMessage,
  limit: number,
  resolve: (pieces: readonly Buffer[]) => void,
  reject: (error: Error) => void,
): void {
  const pieces: Buffer[] = [];
  let length = 0;

  const onData = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > limit) {
      req.off('data', onData);
      reject(tooLarge(limit));
      discard(req, limit);
      return;
    }
    pieces.push(chunk);
  };
  req.on('data', onData);
  req.on('end', () => resolve(pieces));
  // Every request closes in the end, and an error costs a stack: it is made only when the body has not come to its end.
  const onGone = (): void => {
    if (!req.readableEnded) reject(new ClientGoneError());
  };
  req.on('error', onGone);
  req.on('close', onGone);
}

function discard(req: IncomingMessage, budget: number): void {
  let left = budget;
  req.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) req.destroy();
  });
  req.on('error', () => req.destroy());
}

function tooLarge(limit: number): GatewayError {
  return new GatewayError('body_too_large', `The request body is larger than ${limit} bytes`);
}
