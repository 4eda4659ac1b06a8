import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OutboundInit, PluginContext } from '../../plugin-api/context.ts';
import type { Channel } from '../channel/channel.ts';

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

/** Options that cross as they are. */
const PLAIN_OPTIONS = ['method', 'redirect'] as const;

/** `context.fetch`: the gateway dials, and bodies are streamed in both directions. */
export function createRemoteFetch(channel: Channel): PluginContext['fetch'] {
  return async (url, init = {}) => {
    const { signal } = init;
    signal?.throwIfAborted();
    const { headers, body } = normalized(init);
    const out = body === null ? null : channel.open();
    if (out !== null && body !== null) pipeline(Readable.fromWeb(body as never), out).catch(() => undefined);
    const options = Object.fromEntries(PLAIN_OPTIONS.map((option) => [option, init[option]]));
    const params = {
      url: String(url),
      options,
      headers,
      stream: out?.id ?? null,
      isStream: isStream(init.body),
    };
    return answered(channel, params, signal);
  };
}

/** The answer's stream has to be taken in the same turn as it is told. */
async function answered(
  channel: Channel,
  params: unknown,
  signal: AbortSignal | null | undefined,
): Promise<Response> {
  const { promise, resolve } = Promise.withResolvers<Response>();
  const call = channel.call('fetch', params, {
    signal: signal ?? undefined,
    onEvent: (_event, value) => resolve(toResponse(channel, value as RemoteAnswer, signal)),
  });
  return Promise.race([promise, call.then(() => promise)]);
}

/** Headers and body as `fetch` itself would send them: form data gets its boundary, text its type. */
function normalized({ headers, body }: OutboundInit): {
  readonly headers: [string, string][];
  readonly body: ReadableStream<Uint8Array> | null;
} {
  // A request without a destination: it is only asked what it would send.
  const request = new Request('http://localhost/', {
    method: body == null ? 'GET' : 'POST',
    headers: headers as Headers,
    body: (body ?? null) as ReadableStream,
    duplex: 'half',
  } as RequestInit);
  return { headers: [...request.headers], body: request.body };
}

function toResponse(
  channel: Channel,
  answer: RemoteAnswer,
  signal: AbortSignal | null | undefined,
): Response {
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

/** What can be sent only once: everything else can be sent again after a redirect. */
function isStream(body: OutboundInit['body']): boolean {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}
