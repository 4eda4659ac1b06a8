import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { ConfigError } from '../../src/errors.ts';
import { HTTP_TIMEOUTS } from '../../src/http/connections.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type { DataPlane, HttpServerDeps, Readiness } from '../../src/http/types.ts';
import type { GatewayResponse } from '../../src/wire/message.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import {
  dial,
  exchange,
  NO_DATA_PLANE,
  NO_MCP,
  pluginControl,
  readToEnd,
  recordingLog,
  send,
  start,
  statusOf,
} from './support.ts';

const QUICK = { headersMs: 100, bodyMs: 100, keepAliveMs: 100, checkMs: 20 };

/** `/read` takes the whole body, `/stream` hands its response to the test. */
function scenario(): { dataPlane: DataPlane; stream: Promise<GatewayResponse> } {
  const { promise: stream, resolve } = Promise.withResolvers<GatewayResponse>();
  const dataPlane: DataPlane = {
    find: (_method, path) => {
      if (path === '/read') {
        return async (req, res) => {
          let length = 0;
          for await (const chunk of req) length += chunk.length;
          res.end(String(length));
        };
      }
      if (path === '/stream') {
        return async (_req, res) => {
          res.writeHead(200, { 'content-type': 'text/event-stream' });
          res.write('data: first\n\n');
          resolve(res);
        };
      }
      return null;
    },
  };
  return { dataPlane, stream };
}

async function firstAnswer(port: number, path: string, agent?: Agent): Promise<IncomingMessage> {
  const [res] = await once(get({ host: '127.0.0.1', port, path, agent: agent ?? false }), 'response');
  return res;
}

async function text(res: IncomingMessage): Promise<string> {
  let all = '';
  for await (const chunk of res.setEncoding('utf8')) all += chunk;
  return all;
}

test('the time-outs as they ship close a slow client within ten seconds', () => {
  const { headersMs, bodyMs, keepAliveMs, checkMs } = HTTP_TIMEOUTS;
  const nodesKeepAliveBuffer = 1_000;
  // Noticed one look late, and up to two until the connection is gone.
  for (const ms of [headersMs, bodyMs, keepAliveMs]) assert.ok(ms + 3 * checkMs <= 10_000);
  assert.ok(keepAliveMs + nodesKeepAliveBuffer < 10_000);
});

test('clients that keep the server waiting are answered 408 or closed', async (t) => {
  const { dataPlane } = scenario();
  const { port } = await start(t, { dataPlane, timeouts: QUICK });
  const head = 'POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n';

  await t.test('a connection that says nothing', async () => {
    assert.equal(statusOf(await exchange(port, '')), 408);
  });
  await t.test('a header that does not end', async () => {
    assert.equal(statusOf(await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nX: ')), 408);
  });
  await t.test('a header that comes byte by byte', async () => {
    assert.equal(statusOf(await trickle(port, 'GET / HTTP/1.1\r\nHost: a\r\nX: ')), 408);
  });
  await t.test('a body that does not come', async () => {
    assert.equal(statusOf(await exchange(port, head)), 408);
  });
  await t.test('a body that comes byte by byte', async () => {
    assert.equal(statusOf(await trickle(port, head)), 408);
  });
  await t.test('a chunked body that comes byte by byte', async () => {
    const chunked = 'POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n';
    assert.equal(statusOf(await trickle(port, chunked)), 408);
  });
  await t.test('a body that stops after a fast beginning', async () => {
    assert.equal(statusOf(await exchange(port, head + 'x'.repeat(40_000))), 408);
  });
  await t.test('a body that nobody wants, after its answer', async () => {
    const answer = await exchange(port, head.replace('/read', '/healthz'));
    assert.equal(statusOf(answer), 405);
    assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1);
  });
  await t.test('a body that nobody wants and that never ends, however fast', async () => {
    const flood = `fa0\r\n${'x'.repeat(4_000)}\r\n`;
    const socket = await dial(
      port,
      'POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    assert.equal(statusOf(await readWhileWriting(socket, flood)), 405);
  });
  await t.test('a kept-alive connection without another request', async () => {
    assert.equal(statusOf(await exchange(port, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')), 200);
  });
  await t.test('a kept-alive connection that sends empty lines in place of another request', async () => {
    const socket = await dial(port, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(statusOf(await readWhileWriting(socket, '\r\n')), 200);
  });
});

test('a client is told how long it may keep its connection unused', async (t) => {
  const { port } = await start(t);
  const { headers } = await firstAnswer(port, '/healthz', new Agent({ keepAlive: true, maxFreeSockets: 0 }));
  assert.equal(headers['keep-alive'], `timeout=${HTTP_TIMEOUTS.keepAliveMs / 1_000}`);
});

async function trickle(port: number, head: string): Promise<string> {
  return readWhileWriting(await dial(port, head), 'x');
}

/** Writes `piece` again and again until the server has had enough. */
async function readWhileWriting(socket: Socket, piece: string): Promise<string> {
  const timer = setInterval(() => socket.writable && socket.write(piece), 5);
  socket.once('close', () => clearInterval(timer));
  return readToEnd(socket);
}

test('a client that closes after this request reads the answer to a body that nobody takes', async (t) => {
  const { port } = await start(t, { timeouts: { checkMs: 200 } });
  const head = 'POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n';
  const socket = await dial(port, head);
  const [answer] = await once(socket.setEncoding('utf8'), 'data');
  assert.equal(statusOf(answer), 404);
  const failed: Error[] = [];
  socket.on('error', (error) => failed.push(error));

  const pieces = 6;
  for (let i = 0; i < pieces; i++) await new Promise((resolve) => socket.write('x'.repeat(10_000), resolve));
  socket.end('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(await readToEnd(socket), '', 'nothing behind the last request is served');
  assert.deepEqual(failed, []);
});

test('an upload that makes progress outlasts the body time-out', async (t) => {
  const { dataPlane } = scenario();
  const { port } = await start(t, { dataPlane, timeouts: QUICK });
  const piece = 'x'.repeat(1_000);
  const socket = await dial(
    port,
    `POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: ${60 * piece.length}\r\nConnection: close\r\n\r\n`,
  );
  const answer = readToEnd(socket);
  for (let sent = 0; sent < 60; sent += 1) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.match(await answer, /\r\n\r\n60000$/);
});

test('a stream that says nothing for longer than every time-out is not cut', async (t) => {
  const { dataPlane, stream } = scenario();
  const { port } = await start(t, { dataPlane, timeouts: QUICK });
  const res = await firstAnswer(port, '/stream');
  const silent = dial(port, '').then(readToEnd);
  const response = await stream;
  // A client that was opened after the stream has been timed out: so has everything that could have been.
  await silent;
  await exchange(port, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  response.end('data: last\n\n');
  assert.equal(await text(res), 'data: first\n\ndata: last\n\n');
});

test('a reader that does not take the body is not the client fault', async (t) => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const dataPlane: DataPlane = {
    find: () => async (req, res) => {
      await gate;
      let length = 0;
      for await (const chunk of req) length += chunk.length;
      res.end(String(length));
    },
  };
  const { port } = await start(t, {
    dataPlane,
    timeouts: QUICK,
    server: { host: '127.0.0.1', port: 0, bodyLimit: 10_000_000, drainTimeoutMs: 1, workers: 1 },
  });
  const size = 5_000_000;
  const socket = await dial(
    port,
    `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`,
  );
  const answer = readToEnd(socket);
  socket.write('x'.repeat(size));
  await exchange(port, '');
  open();
  assert.match(await answer, /\r\n\r\n5000000$/);
});

test('a port that is taken is a ConfigError that names PORT, the value seen and the value expected', async (t) => {
  const { port } = await start(t);
  const second = createHttpServer(deps({ host: '127.0.0.1', port }));
  await assert.rejects(second.listen(), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.equal(
      error.message,
      `PORT: ${port} is taken on LLMROUTER_HOST 127.0.0.1, expected a free port (0 picks one)`,
    );
    return true;
  });
});

test('a host that is not of this machine is a ConfigError that names LLMROUTER_HOST', async () => {
  const server = createHttpServer(deps({ host: '192.0.2.1', port: 0 }));
  await assert.rejects(
    server.listen(),
    /^ConfigError: LLMROUTER_HOST: 192\.0\.2\.1 is not an address of this machine/,
  );
});

function deps(at: { host: string; port: number }): HttpServerDeps {
  return {
    server: { ...at, bodyLimit: 1, drainTimeoutMs: 1, workers: 1 },
    adminKey: null,
    debug: false,
    started: Promise.resolve(),
    pipeline: () => emptyPipeline(),
    dataPlane: NO_DATA_PLANE,
    mcp: NO_MCP,
    plugins: pluginControl(),
    metrics: async () => ({ contentType: 'text/plain', body: '' }),
    log: recordingLog().log,
  };
}

test('drain lets a running stream finish, closes its connection, and admits nobody else', async (t) => {
  const { dataPlane, stream } = scenario();
  const { http, port } = await start(t, { dataPlane });
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const res = await firstAnswer(port, '/stream', agent);
  const response = await stream;

  const drained = http.drain(60_000);
  const [refused] = await once(connect({ host: '127.0.0.1', port }), 'error');
  assert.equal(refused.code, 'ECONNREFUSED');
  response.end('data: last\n\n');
  assert.equal(await text(res), 'data: first\n\ndata: last\n\n');
  assert.deepEqual(await drained, { cut: 0 });
});

test('drain closes connections that are idle, silent or in the middle of a header', async (t) => {
  const { http, port } = await start(t);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  await text(await firstAnswer(port, '/healthz', agent));
  const others = await Promise.all(['', 'GET / HT'].map((said) => dial(port, said)));
  // The server has accepted them once it has served one that came later.
  await send({ port }, 'GET', '/healthz');
  assert.deepEqual(await http.drain(60_000), { cut: 0 });
  assert.deepEqual(await Promise.all(others.map(readToEnd)), ['', '']);
});

test('an answer that begins during the drain tells that its connection closes', async (t) => {
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { http, port } = await start(t, {
    dataPlane: {
      find: () => async (_req, res) => {
        arrive();
        await gate;
        res.end('late');
      },
    },
  });
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const answer = firstAnswer(port, '/slow', agent);
  await arrived;
  const drained = http.drain(60_000);
  open();
  const res = await answer;
  assert.equal(res.headers.connection, 'close');
  assert.equal(await text(res), 'late');
  assert.deepEqual(await drained, { cut: 0 });
});

test('during the drain an open connection sees readiness 503 and its further requests refused', async (t) => {
  const cases: [path: string, expected: RegExp][] = [
    ['/readyz', /HTTP\/1\.1 503 .*Connection: close.*"status":"draining"/s],
    ['/v1/models', /HTTP\/1\.1 503 .*Connection: close.*"code":"gateway_draining"/s],
    ['/healthz', /HTTP\/1\.1 200 .*Connection: close.*"status":"ok"/s],
  ];
  for (const [path, expected] of cases) {
    const { dataPlane, stream } = scenario();
    const { promise: received, resolve } = Promise.withResolvers<void>();
    const readiness = async (): Promise<Readiness> => {
      resolve();
      return { status: 'ready', plugins: {} };
    };
    const { http, port } = await start(t, { dataPlane, plugins: pluginControl({ readiness }) });
    const socket = await dial(port, 'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n');
    const all = readToEnd(socket);
    const response = await stream;
    const drained = http.drain(60_000);
    // Pipelined behind the stream; the last one tells that the server has got those before it.
    socket.write([path, '/readyz'].map((at) => `GET ${at} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    await received;
    response.end('data: last\n\n');
    const afterStream = (await all).split('data: last').at(-1) as string;
    assert.match(afterStream, expected, path);
    assert.deepEqual(await drained, { cut: 0 });
  }
});

test('what outlasts the drain is cut and counted', async (t) => {
  const { dataPlane, stream } = scenario();
  const { http, port } = await start(t, { dataPlane });
  const res = await firstAnswer(port, '/stream');
  await stream;
  const drained = http.drain(10);
  assert.equal(http.drain(60_000), drained);
  assert.deepEqual(await drained, { cut: 1 });
  await assert.rejects(text(res), { code: 'ECONNRESET' });
});

test('a server that never listened is drained at once', async () => {
  assert.deepEqual(await createHttpServer(deps({ host: '127.0.0.1', port: 0 })).drain(60_000), { cut: 0 });
});
