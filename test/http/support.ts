import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import winston from 'winston';
import { Secret } from '../../src/config/secret.ts';
import type { ErrorBody } from '../../src/errors.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type {
  DataPlane,
  HttpServer,
  HttpServerDeps,
  McpServer,
  PluginControl,
} from '../../src/http/types.ts';
import type { PluginView } from '../../src/lifecycle/view.ts';
import { sendJson } from '../../src/wire/error-response.ts';
import { emptyPipeline } from '../support/pipeline.ts';

export const ADMIN_KEY = 'correct horse battery staple';

export interface Running {
  readonly http: HttpServer;
  readonly port: number;
  readonly url: string;
  /** What was logged, newest last. */
  readonly logged: Record<string, unknown>[];
}

/** A real server on a free port; drained when the test ends. */
export async function start(t: TestContext, overrides: Partial<HttpServerDeps> = {}): Promise<Running> {
  const { log, logged } = recordingLog();
  const http = createHttpServer({
    server: { host: '127.0.0.1', port: 0, bodyLimit: 65_536, drainTimeoutMs: 1_000, workers: 1 },
    adminKey: new Secret(ADMIN_KEY),
    debug: false,
    pipeline: () => emptyPipeline(),
    started: Promise.resolve(),
    dataPlane: NO_DATA_PLANE,
    mcp: NO_MCP,
    plugins: pluginControl(),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    log,
    ...overrides,
  });
  const { port } = await http.listen();
  t.after(() => http.drain(0));
  return { http, port, url: `http://127.0.0.1:${port}`, logged };
}

export function recordingLog(level = 'info'): { log: winston.Logger; logged: Record<string, unknown>[] } {
  const logged: Record<string, unknown>[] = [];
  const format = winston.format((info) => {
    logged.push({ ...info });
    return false;
  })();
  const log = winston.createLogger({ level, format, transports: [new winston.transports.Console()] });
  return { log, logged };
}

export const NO_DATA_PLANE: DataPlane = { find: () => null };

export const NO_MCP: McpServer = { handle: async (_req, res) => void res.end('mcp') };

/** Serves `POST /v1/chat/completions` and `POST /v1/messages` with the caller's identity. */
export const WHO_AM_I: DataPlane = {
  find: (method, path) =>
    method === 'POST' && (path === '/v1/chat/completions' || path === '/v1/messages')
      ? async (req, res) => sendJson(res, 200, { identity: req.identity, url: req.url })
      : null,
};

export function pluginView(name: string, view: Partial<PluginView> = {}): PluginView {
  return {
    name,
    version: '1.0.0',
    description: '',
    specifier: `plugins/${name}`,
    source: 'folder',
    capabilities: ['ROUTES'],
    dependsOn: [],
    priority: 1000,
    failureMode: 'continue',
    isolation: 'inline',
    state: 'started',
    reason: null,
    startupMs: 1,
    failures: { total: 0, recent: 0 },
    quarantine: null,
    contributes: { routes: ['GET /x'], middleware: 0 },
    ...view,
  };
}

export function pluginControl(control: Partial<PluginControl> = {}): PluginControl {
  return {
    list: () => ({ order: ['base'], plugins: [pluginView('base')] }),
    get: (name) => (name === 'base' ? pluginView('base') : null),
    release: async (name) => pluginView(name),
    quarantine: async (name) => pluginView(name, { state: 'quarantined' }),
    reload: async () => ({ changed: [], unchanged: ['base'] }),
    readiness: async () => ({ status: 'ready', plugins: { base: { state: 'started', health: 'ok' } } }),
    ...control,
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  json(): unknown;
  /** The body as an error in OpenAI's shape. */
  error(): ErrorBody['error'];
}

/** One request over a connection of its own, with no header that the caller does not know of but Host. */
export async function send(
  { port }: Pick<Running, 'port'>,
  method: string,
  path: string,
  {
    headers,
    body,
    agent,
  }: { headers?: Record<string, string>; body?: string; agent?: RequestOptions['agent'] } = {},
): Promise<Answer> {
  const req = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: agent ?? false });
  req.end(body);
  const [res] = await once(req, 'response');
  let text = '';
  for await (const chunk of res.setEncoding('utf8')) text += chunk;
  return {
    status: res.statusCode,
    headers: res.headers,
    text,
    json: () => JSON.parse(text),
    error: () => JSON.parse(text).error,
  };
}

/** Opens a connection and writes `text`, as it is. */
export async function dial(port: number, text: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  // A server that closes while we write resets the connection; the tests look at what came before.
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

/** All that comes until the server closes the connection. */
export async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  // `events.once` would reject at a reset, which is one of the ways for a connection to end.
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

/** Writes `text` on a new connection and returns all that comes back. */
export async function exchange(port: number, text: string): Promise<string> {
  return readToEnd(await dial(port, text));
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
}
