import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type OutboundRequest, parseInit } from '../../net/outbound-request.ts';
import type { PluginContext } from '../../plugin-api/context.ts';
import type { Channel } from '../channel/channel.ts';
import type { OutgoingStream } from '../channel/streams.ts';

/** What the gateway answers. */
interface RemoteAnswer {
  readonly url: string;
  readonly redirected: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly [string, string][];
  /** `null`: no body. */
  readonly stream: number | null;
}

/** What is read of the options is the same whatever URL they are for. */
const ANY_URL = new URL('http://localhost/');

/** `context.fetch`: the gateway dials, and bodies are streamed in both directions. */
export function createRemoteFetch(channel: Channel): PluginContext['fetch'] {
  return async (url, init) => {
    const { request, redirect, signal } = await parseInit(ANY_URL, init ?? {});
    signal?.throwIfAborted();
    const { method, headers, body } = request;
    const out = body === null ? null : channel.open();
    const params = {
      url: String(url),
      options: { method, redirect },
      headers: [...headers],
      stream: out?.id ?? null,
      // What can be sent only once: everything else can be sent again after a redirect.
      isStream: body instanceof ReadableStream,
    };
    const answer = answered(channel, params, signal);
    // Not before the call: the gateway drops what comes by a stream that it has not been told of.
    if (out !== null && body !== null) pour(body, out);
    return answer;
  };
}

function pour(body: NonNullable<OutboundRequest['body']>, out: OutgoingStream): void {
  if (body instanceof ReadableStream) pipeline(Readable.fromWeb(body as never), out).catch(() => undefined);
  else out.end(body);
}

/** The answer's stream has to be taken in the same turn as it is told. */
async function answered(channel: Channel, params: unknown, signal: AbortSignal | null): Promise<Response> {
  const { promise, resolve } = Promise.withResolvers<Response>();
  const call = channel.call('fetch', params, {
    signal: signal ?? undefined,
    onEvent: (_event, value) => resolve(toResponse(channel, value as RemoteAnswer, signal)),
  });
  return Promise.race([promise, call.then(() => promise)]);
}

function toResponse(channel: Channel, answer: RemoteAnswer, signal: AbortSignal | null): Response {
  const { stream, status, statusText, headers, url, redirected } = answer;
  const incoming = stream === null ? null : channel.accept(stream);
  signal?.addEventListener('abort', () => incoming?.destroy(signal.reason), { once: true });
  const body =
    incoming === null
      ? null
      : (Readable.toWeb(incoming, { strategy: { highWaterMark: 0 } }) as ReadableStream);
  const response = new Response(body as never, {
    status,
    statusText,
    headers: headers as [string, string][],
  });
  Object.defineProperties(response, { url: { value: url }, redirected: { value: redirected } });
  return response;
}
