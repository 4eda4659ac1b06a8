import { sendError } from '../wire/error-response.ts';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import { bodyTooLarge } from './guards.ts';

/**
 * Bounds a body that does not announce its length, whoever reads it. Past `limit` bytes the client gets its 413 and
 * the rest is thrown away: a connection closed while the client still sends is reset, and the answer lost with it. The
 * reader sees an aborted request, never a truncated one that looks whole.
 */
export function limitChunkedBody(req: GatewayRequest, res: GatewayResponse, limit: number): void {
  if (req.headers['transfer-encoding'] === undefined) return;
  const push = req.push;
  let received = 0;
  req.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (received > limit) return discard(req, chunk);
    if (chunk instanceof Uint8Array) received += chunk.length;
    if (received <= limit) return push.call(req, chunk, encoding);
    sendError(res, bodyTooLarge(limit));
    return true;
  };
}

function discard(req: GatewayRequest, chunk: unknown): boolean {
  if (chunk === null) req.destroy(new Error('the request body was too large'));
  return true;
}
