import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

/**
 * Sends a response of the web's kind. The head goes out at once: a stream may have nothing to say for long. Resolves
 * when all is sent, or the client is gone.
 */
export async function sendWebResponse(res: ServerResponse, response: Response): Promise<void> {
  res.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) {
    res.end();
    return;
  }
  res.flushHeaders();
  // The body's type is the browser's in one library and Node's in the other.
  const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
  await pipeline(body, res).catch(() => undefined);
}
