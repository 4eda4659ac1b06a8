import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Http1Client } from '../../src/http1/client.ts';
import {
  ask,
  clientOf,
  dispatch,
  Gatherer,
  type Outcome,
  type ScriptedServer,
  sized,
  startServer,
} from './support.ts';

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** A server that writes `wire` to the first request, and says to every other one on which connection it came. */
async function startFirst(
  t: TestContext,
  wire: string,
  ends = false,
): Promise<ScriptedServer & { readonly client: Http1Client }> {
  const server = await startServer(t, ({ socket, connection, request }) => {
    socket.write(request === 0 ? wire : sized(`connection ${connection}`));
    if (request === 0 && ends) socket.end();
  });
  return { ...server, client: clientOf(t, server.origin) };
}

/** Asks again once the connection of the last answer can be taken. */
async function askNext(client: Http1Client): Promise<string> {
  await nextTurn();
  await nextTurn();
  const { body, error } = await ask(client);
  return error?.message ?? body.toString();
}

for (const [name, wire] of [
  ['a length', sized('ok')],
  ['a length of 0', sized('')],
  ['chunks', `${CHUNKED}2\r\nok\r\n0\r\n\r\n`],
  ['chunks and trailers', `${CHUNKED}2\r\nok\r\n0\r\nX-Trailer: a\r\n\r\n`],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['an informational response before it', `HTTP/1.1 103 Early Hints\r\n\r\n${sized('ok')}`],
  ['HTTP/1.0 and keep-alive', sized('ok', 'Connection: keep-alive').replace('1.1', '1.0')],
  ['a status that is an error', sized('no').replace('200 OK', '500 No')],
  ['a time that is long enough', sized('ok', 'Keep-Alive: timeout=5, max=100')],
] as const) {
  test(`a connection is used again behind ${name}`, async (t) => {
    const { client } = await startFirst(t, wire);
    assert.equal((await ask(client)).error, null);
    assert.equal(await askNext(client), 'connection 0');
  });
}

for (const [name, wire] of [
  ['close', sized('ok', 'Connection: close')],
  ['close among other options', sized('ok', 'Connection: Keep-Alive, CLOSE')],
  ['HTTP/1.0', sized('ok').replace('1.1', '1.0')],
  [
    'chunks in HTTP/1.0',
    `${CHUNKED.replace('1.1', '1.0')}2\r\nok\r\n0\r\n\r\n`.replace('\r\n', '\r\nConnection: keep-alive\r\n'),
  ],
  ['bytes behind the end', `${sized('ok')}${sized('stolen')}`],
  ['bytes behind the last chunk', `${CHUNKED}0\r\n\r\n${sized('stolen')}`],
  ['a 204 with a body', 'HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nstolen'],
  ['a 204 whose body is yet to come', 'HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n'],
  ['a 204 with chunks', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a time that is as good as over', sized('ok', 'Keep-Alive: timeout=2')],
  ['a time of nothing', sized('ok', 'Keep-Alive: timeout=0')],
] as const) {
  test(`a connection is not used again behind ${name}`, async (t) => {
    const { client, sockets } = await startFirst(t, wire);
    assert.equal((await ask(client)).error, null);
    const [first] = sockets;
    assert.equal(await askNext(client), 'connection 1');
    if (first !== undefined && !first.closed) await once(first, 'close');
  });
}

test('a body that ends with its connection is whole, and so is the next one', async (t) => {
  const { client } = await startFirst(t, 'HTTP/1.1 200 OK\r\n\r\nuntil the end', true);
  assert.equal((await ask(client)).body.toString(), 'until the end');
  assert.equal(await askNext(client), 'connection 1');
});

test('a response before the whole request has gone ends its connection', async (t) => {
  const server = await startServer(t, ({ socket, connection }) =>
    socket.write(sized(`connection ${connection}`)),
  );
  const client = clientOf(t, server.origin);
  // More than the system takes: most of it is still here when the answer comes.
  const handler = new Gatherer();
  dispatch(client, handler, { body: Buffer.alloc(32 * 1024 * 1024) });
  while (server.sockets.size === 0) await nextTurn();
  const [first] = server.sockets;
  first?.pause();
  first?.write(sized('early'));
  assert.equal((await handler.outcome).body.toString(), 'early');
  first?.resume();
  assert.equal(await askNext(client), 'connection 1');
});

test("what comes on a connection that nobody uses closes it, and is nobody's answer", async (t) => {
  const { client, sockets } = await startFirst(t, sized('ok'));
  await ask(client);
  const [first] = sockets;
  assert.ok(first);
  first.write(sized('stolen'));
  await once(first, 'close');
  assert.equal(await askNext(client), 'connection 1');
});

test("what comes right behind a response, in a read of its own, is nobody's answer", async (t) => {
  const { client, sockets } = await startFirst(t, sized('ok'));
  const bodies: string[] = [];
  await ask(
    client,
    {},
    {
      onEnd: () => {
        for (const socket of sockets) socket.write(sized('stolen'));
      },
    },
  );
  for (let at = 0; at < 5; at++) bodies.push(await askNext(client));
  assert.ok(!bodies.includes('stolen'), bodies.join());
});

test('a server that closes an unused connection costs no request', async (t) => {
  const { client, sockets } = await startFirst(t, sized('ok'));
  await ask(client);
  const [first] = sockets;
  assert.ok(first);
  first.end();
  await once(first, 'close');
  assert.equal(await askNext(client), 'connection 1');
});

test('a server that closes right behind its responses without a word costs no request', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => socket.end(sized('ok')));
  const client = clientOf(t, origin);
  for (let at = 0; at < 50; at++) {
    const { error, body } = await ask(client);
    assert.equal(error, null);
    assert.equal(body.toString(), 'ok');
  }
});

test('200 requests at once have a connection each, and the next 200 the same ones', async (t) => {
  const held: (() => void)[] = [];
  const { origin, connections } = await startServer(t, ({ socket }) => {
    held.push(() => socket.write(sized('ok')));
    // Nobody is answered before all have asked.
    if (held.length === 200) for (const answer of held.splice(0)) answer();
  });
  const client = clientOf(t, origin);
  const askAll = (): Promise<Outcome[]> => Promise.all(Array.from({ length: 200 }, () => ask(client)));
  for (let round = 0; round < 2; round++) {
    for (const { error } of await askAll()) assert.equal(error, null);
    await nextTurn();
    await nextTurn();
  }
  assert.equal(connections(), 200);
});

test('requests in a row need one connection', async (t) => {
  const { origin, connections } = await startServer(t, ({ socket }) => socket.write(sized('ok')));
  const client = clientOf(t, origin);
  for (let at = 0; at < 20; at++) assert.equal(await askNext(client), 'ok');
  assert.equal(connections(), 1);
});

test('an unused connection is closed when its time is over', async (t) => {
  const { origin, sockets } = await startServer(t, ({ socket }) => socket.write(sized('ok')));
  const client = clientOf(t, origin, 20);
  await ask(client);
  const [first] = sockets;
  assert.ok(first);
  await once(first, 'close');
});

test('a response that takes longer than an unused connection is kept leaves its connection to the next one', async (t) => {
  const { origin } = await startServer(t, ({ socket, connection, request }) => {
    if (request > 0) {
      socket.write(sized(`connection ${connection}`));
      return;
    }
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
    setTimeout(() => socket.write('ok'), 700);
  });
  const client = clientOf(t, origin, 500);
  await ask(client);
  assert.equal(await askNext(client), 'connection 0');
});

test('close ends requests under way, and those that come later', async (t) => {
  const { origin, sockets } = await startServer(t, ({ socket, request }) => {
    if (request === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok');
  });
  const client = clientOf(t, origin);
  const { promise: piece, resolve } = Promise.withResolvers<void>();
  const inBody = ask(client, {}, { onData: () => resolve() });
  await piece;
  const waiting = ask(client);
  while (sockets.size < 2) await nextTurn();
  const connecting = ask(client);
  await client.close();
  for (const outcome of [inBody, waiting, connecting, ask(client)]) {
    assert.equal((await outcome).error?.code, 'HTTP1_CLOSED');
  }
  await client.close();
});

test('a process whose client is closed ends by itself', () => {
  const script = `
    import { createServer } from 'node:http';
    import { EndOfTurn } from './src/end-of-turn.ts';
    import { Http1Client } from './src/http1/client.ts';
    import { requestHead } from './src/http1/request-head.ts';
    const server = createServer((req, res) => res.end('ok')).listen(0, '127.0.0.1', () => {
      const origin = new URL('http://127.0.0.1:' + server.address().port);
      const endOfTurn = new EndOfTurn();
      const client = new Http1Client(origin, { connectTimeoutMs: 60_000, keepAliveMs: 60_000, endOfTurn });
      const head = requestHead('/', 'upstream.test', []);
      client.dispatch({ head, headers: [], body: Buffer.alloc(0), idleMs: 60_000 }, {
        onRequestStart() {}, onResponseStart() {}, onResponseData() {},
        onResponseEnd() { setTimeout(() => { client.close(); server.close(); }, 50); },
        onResponseError(_, error) { throw error; },
      });
    });
  `;
  const args = ['--conditions=routeiq-source', '--input-type=module-typescript', '--eval', script];
  const { status, stderr, signal } = spawnSync(process.execPath, args, { timeout: 20_000 });
  assert.deepEqual({ status, signal, stderr: stderr.toString() }, { status: 0, signal: null, stderr: '' });
});

test('an origin with two addresses is reached at the one that answers', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => socket.write(sized('ok')));
  const client = clientOf(t, origin.replace('127.0.0.1', 'localhost'));
  for (let at = 0; at < 3; at++) assert.equal(await askNext(client), 'ok');
});
