import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import type { TestContext } from 'node:test';
import winston from 'winston';
import { Secret } from '../../src/config/secret.ts';
import type { DeploymentConfig, RoutingConfig } from '../../src/config/types.ts';
import { createDataPlane, type DataPlane, type DataPlaneOptions } from '../../src/data-plane/data-plane.ts';
import type { Pipeline } from '../../src/pipeline/types.ts';
import type { Identity } from '../../src/plugin-api/auth.ts';
import { GatewayRequest, GatewayResponse, identify } from '../../src/wire/message.ts';
import { emptyPipeline } from './pipeline.ts';

export interface ServedPlane {
  readonly plane: DataPlane;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** Lines of the log. */
  readonly log: readonly string[];
}

export interface PlaneSetup extends Partial<DataPlaneOptions> {
  readonly pipeline?: Pipeline;
  readonly identity?: Identity | null;
  /** As a middleware would. */
  readonly before?: (req: GatewayRequest, res: GatewayResponse) => Promise<void> | void;
}

/** A data plane behind the least server that it can do with; both are closed when the test ends. */
export async function serve(t: TestContext, setup: PlaneSetup = {}): Promise<ServedPlane> {
  const log: string[] = [];
  const plane = createDataPlane({
    deployments: [],
    routing: routing(),
    bodyLimit: 1024 * 1024,
    log: createLog(log),
    ...setup,
  });
  const pipeline = setup.pipeline ?? emptyPipeline();
  const classes = { IncomingMessage: GatewayRequest, ServerResponse: GatewayResponse };
  const server = createServer(classes, async (req, res) => {
    req.receivedAt = performance.now();
    req.id = 'req-1';
    if (setup.identity != null) identify(req, setup.identity);
    res.setHeader('x-request-id', req.id);
    await setup.before?.(req, res);
    const path = (req.url ?? '').split('?')[0] ?? '';
    const handler = plane.find(req.method ?? '', path);
    if (handler === null) res.writeHead(404).end('none of the data plane');
    else await handler(req, res, pipeline);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await plane.close();
  });
  const { port } = server.address() as AddressInfo;
  return { plane, port, url: `http://127.0.0.1:${port}`, log };
}

/** One deployment of `model_list`. */
export function deployment(apiBase: string | null, fields: Partial<DeploymentConfig> = {}): DeploymentConfig {
  const group = fields.group ?? 'gpt-4o';
  return {
    id: `${group}/0`,
    group,
    provider: 'openai',
    model: 'gpt-4o',
    apiBase,
    apiKey: new Secret('test-key-0123456789'),
    apiVersion: null,
    headers: {},
    weight: 1,
    rpm: null,
    tpm: null,
    order: null,
    timeoutMs: null,
    streamTimeoutMs: null,
    inputCostPerToken: null,
    outputCostPerToken: null,
    responsesOverChat: false,
    ...fields,
  };
}

export function routing(fields: Partial<RoutingConfig> = {}): RoutingConfig {
  return {
    strategy: 'simple-shuffle',
    numRetries: 0,
    allowedFails: 1000,
    cooldownMs: 30_000,
    fallbacks: [],
    contextWindowFallbacks: [],
    contentPolicyFallbacks: [],
    defaultFallbacks: [],
    ...fields,
  };
}

/** Asks for a chat completion, with a body that is sent as it is. */
export function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return postTo(url, '/v1/chat/completions', body, headers, signal);
}

/** Posts a JSON body to a path, as it is. */
export function postTo(
  url: string,
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** A chat request's body. */
export function chat(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }], ...fields });
}

/** The values of a stream's `data` lines. */
export function dataOf(sse: string): string[] {
  return sse
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice(6));
}

function createLog(lines: string[]): winston.Logger {
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return winston.createLogger({ transports: [new winston.transports.Stream({ stream: sink })] });
}
