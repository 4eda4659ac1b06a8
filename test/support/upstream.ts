import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request as the mock upstream got it. */
export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Resolves when the connection is closed before the answer is complete. */
  readonly aborted: Promise<void>;
}

/** Answers one request; `socket` is for answers that break the rules of HTTP. */
export type Script = (request: UpstreamRequest, res: ServerResponse, socket: Socket) => void | Promise<void>;

/** An OpenAI-shaped upstream on a free port of 127.0.0.1, whose answers are scripted. */
export interface Upstream {
  /** For `api_base`. */
  readonly url: string;
  readonly requests: readonly UpstreamRequest[];
  /** What to answer from now on; several scripts answer one request each, the last one all that follow. */
  answer(...scripts: readonly Script[]): void;
  /** Resolves to the request that comes next. */
  nextRequest(): Promise<UpstreamRequest>;
  close(): Promise<void>;
}

export const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'gpt-4o',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello from upstream' },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
} as const;

export async function startUpstream(...scripts: readonly Script[]): Promise<Upstream> {
  const requests: UpstreamRequest[] = [];
  const events = new EventEmitter();
  let queue = scripts;
  const server = createServer(async (req, res) => {
    const parts: Buffer[] = [];
    for await (const part of req) parts.push(part as Buffer);
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    res.on('close', () => {
      if (!res.writableFinished) resolve();
    });
    const { method = '', url: path = '', headers } = req;
    const request = { method, path, headers, body: Buffer.concat(parts), aborted };
    requests.push(request);
    events.emit('request', request);
    const [script = json(COMPLETION)] = queue;
    if (queue.length > 1) queue = queue.slice(1);
    await script(request, res, req.socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    answer(...next) {
      queue = next;
    },
    async nextRequest() {
      const [request] = (await once(events, 'request')) as [UpstreamRequest];
      return request;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A JSON answer. */
export function json(body: unknown, status = 200, headers: Record<string, string | string[]> = {}): Script {
  return (_request, res) => {
    const bytes = Buffer.from(JSON.stringify(body));
    res.writeHead(status, {
      'content-type': 'application/json',
      'content-length': bytes.length,
      ...headers,
    });
    res.end(bytes);
  };
}

/** An answer of any type. */
export function text(body: string, status: number, type: string): Script {
  return (_request, res) => {
    res.writeHead(status, { 'content-type': type });
    res.end(body);
  };
}

/** An event stream, one write for each part. `between` is awaited after each but the last. */
export function stream(
  parts: readonly (string | Buffer)[],
  between: (written: number) => Promise<void> | void = nextTurn,
): Script {
  return async (_request, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [index, part] of parts.entries()) {
      if (res.destroyed) return;
      res.write(part);
      if (index < parts.length - 1) await between(index + 1);
    }
    res.end();
  };
}

/** An event stream that is cut: the connection is closed behind the last part, without the end of the body. */
export function cutStream(parts: readonly (string | Buffer)[]): Script {
  return async (_request, res, socket) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) {
      res.write(part);
      await nextTurn();
    }
    socket.end();
  };
}

/** Bytes as they are, head included, and then the end of the connection. */
export function raw(bytes: string | Buffer): Script {
  return (_request, _res, socket) => {
    socket.end(bytes);
  };
}

/** Closes the connection without a word. */
export const hangUp: Script = (_request, _res, socket) => {
  socket.destroy();
};

/** Never answers. */
export const silence: Script = () => undefined;

/** One event of a chat stream. */
export function delta(content: string): string {
  return event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
}

/** An event with the fields that all chunks of one stream share. */
export function event(fields: Record<string, unknown>): string {
  const chunk = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'gpt-4o',
    ...fields,
  };
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

export const DONE = 'data: [DONE]\n\n';

/** A whole chat stream that says `words`, with usage. */
export function chatStream(words: readonly string[]): string[] {
  return [
    event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
    ...words.map(delta),
    event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
    event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }),
    DONE,
  ];
}

/** So that each write goes out by itself. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
