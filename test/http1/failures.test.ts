import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EndOfTurn } from '../../src/end-of-turn.ts';
import { Http1Client } from '../../src/http1/client.ts';
import type { ResponseController } from '../../src/http1/types.ts';
import { ask, clientOf, dispatch, Gatherer, type Reactions, sized, startServer } from './support.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

test('a port where nobody listens is refused with the code of the system', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  for (const host of ['127.0.0.1', 'localhost']) {
    const { error } = await ask(clientOf(t, `http://${host}:${port}`));
    assert.equal(error?.code, 'ECONNREFUSED');
  }
});

for (const [name, wire] of [
  ['before the head', ''],
  ['in the head', 'HTTP/1.1 200 OK\r\nContent-'],
  ['behind an informational response', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ['in a sized body', `${HEAD}half`],
  ['in a chunk', `${CHUNKED}a\r\nhalf`],
  ['behind a chunk', `${CHUNKED}4\r\nhalf\r\n`],
  ['in the trailers', `${CHUNKED}4\r\nhalf\r\n0\r\nX-T`],
] as const) {
  test(`a connection that ends ${name} has not answered`, async (t) => {
    const { origin } = await startServer(t, ({ socket }) => socket.end(wire));
    const { error } = await ask(clientOf(t, origin));
    assert.equal(error?.code, 'HTTP1_CLOSED');
  });

  test(`a connection that is reset ${name} fails with the code of the system`, async (t) => {
    const { origin } = await startServer(t, ({ socket }) =>
      socket.write(wire, () => socket.resetAndDestroy()),
    );
    const { error } = await ask(clientOf(t, origin));
    assert.equal(error?.code, 'ECONNRESET');
  });
}

test('a reset is no end of a body that ends with its connection', async (t) => {
  const { origin, sockets } = await startServer(t, ({ socket }) =>
    socket.write('HTTP/1.1 200 OK\r\n\r\nhalf'),
  );
  const { error } = await ask(
    clientOf(t, origin),
    {},
    {
      onData: () => {
        for (const socket of sockets) socket.resetAndDestroy();
      },
    },
  );
  assert.equal(error?.code, 'ECONNRESET');
});

test('silence within a body fails, and closes the connection', async (t) => {
  const { origin, sockets } = await startServer(t, ({ socket }) => socket.write(`${HEAD}half`));
  const { error, body } = await ask(clientOf(t, origin), { idleMs: 30 });
  assert.equal(error?.code, 'HTTP1_IDLE_TIMEOUT');
  assert.equal(body.toString(), 'half');
  const [socket] = sockets;
  if (socket !== undefined) await once(socket, 'close');
});

test('silence before the head is for the caller to measure', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => {
    setTimeout(() => socket.write(sized('late')), 150);
  });
  const { body } = await ask(clientOf(t, origin), { idleMs: 30 });
  assert.equal(body.toString(), 'late');
});

test('a body that comes slowly but steadily is no silence', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n');
    let left = 8;
    const timer = setInterval(() => {
      socket.write('.');
      if (--left === 0) clearInterval(timer);
    }, 60);
  });
  const { error, body } = await ask(clientOf(t, origin), { idleMs: 400 });
  assert.equal(error, null);
  assert.equal(body.toString(), '........');
});

test('silence is not counted while the response is paused, and from the beginning afterwards', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => socket.write(`${HEAD}half`));
  const { promise: piece, resolve } = Promise.withResolvers<void>();
  const handler = new Gatherer({
    onData: (controller) => {
      controller.pause();
      resolve();
    },
  });
  dispatch(clientOf(t, origin), handler, { idleMs: 40 });
  await piece;
  await new Promise((done) => setTimeout(done, 200));
  assert.deepEqual(handler.calls, ['start', 'head', 'data']);
  handler.controller?.resume();
  assert.equal((await handler.outcome).error?.code, 'HTTP1_IDLE_TIMEOUT');
});

test('a shorter idle time than that of the exchange before it counts from its own beginning', async (t) => {
  const { origin, connections } = await startServer(t, ({ socket, request }) =>
    socket.write(request === 0 ? sized('ok') : HEAD),
  );
  const client = clientOf(t, origin);
  await ask(client, { idleMs: 600_000 });
  await nextTurn();
  const { error } = await ask(client, { idleMs: 30 });
  assert.equal(error?.code, 'HTTP1_IDLE_TIMEOUT');
  assert.equal(connections(), 1);
});

test('an idle time of one exchange does not end the next one on its connection', async (t) => {
  const { origin, connections } = await startServer(t, ({ socket, request }) => {
    if (request === 0) socket.write(sized('ok'));
    else socket.write(HEAD);
    if (request > 0) setTimeout(() => socket.write('0123456789'), 150);
  });
  const client = clientOf(t, origin);
  await ask(client, { idleMs: 30 });
  await nextTurn();
  assert.equal((await ask(client, { idleMs: 5_000 })).body.toString(), '0123456789');
  assert.equal(connections(), 1);
});

test('a TLS handshake that is never answered fails in time', async (t) => {
  const { origin } = await startServer(t, () => {});
  const client = new Http1Client(new URL(origin.replace('http:', 'https:')), {
    connectTimeoutMs: 50,
    keepAliveMs: 1_000,
    endOfTurn: new EndOfTurn(),
  });
  t.after(() => client.close());
  const { error } = await ask(client);
  assert.equal(error?.code, 'HTTP1_CONNECT_TIMEOUT');
  assert.match(error?.message ?? '', /50 ms/);
});

const BROKEN = new Error('the handler is broken');

function fail(): never {
  throw BROKEN;
}

for (const [name, reactions] of [
  ['at the head', { onHead: fail }],
  ['at a piece', { onData: fail }],
  ['at the end', { onEnd: fail }],
] as const satisfies readonly (readonly [string, Reactions])[]) {
  test(`a handler that throws ${name} hears of it, and harms nobody else`, async (t) => {
    const { origin } = await startServer(t, ({ socket }) => socket.write(sized('ok')));
    const client = clientOf(t, origin);
    assert.equal((await ask(client, {}, reactions)).error, BROKEN);
    await nextTurn();
    assert.equal((await ask(client)).body.toString(), 'ok');
  });
}

const STOP = new Error('nobody waits any more');

function abort(controller: ResponseController): void {
  controller.abort(STOP);
}

for (const [name, reactions, heard] of [
  ['before a connection is made', { onStart: abort }, ['start']],
  ['at the head', { onHead: abort }, ['start', 'head']],
  ['at a piece', { onData: abort }, ['start', 'head', 'data']],
] as const satisfies readonly (readonly [string, Reactions, readonly string[]])[]) {
  test(`an exchange that is aborted ${name} is heard of no more`, async (t) => {
    const { origin, sockets, connections } = await startServer(t, ({ socket, request }) => {
      socket.write(
        request === 0 && name !== 'before a connection is made' ? CHUNKED + CHUNKS : sized('next'),
      );
    });
    const client = clientOf(t, origin);
    const handler = new Gatherer(reactions);
    dispatch(client, handler);
    while (handler.calls.length < heard.length) await nextTurn();
    const [first] = sockets;
    if (first !== undefined && !first.closed) await once(first, 'close');
    assert.equal((await ask(client)).body.toString(), 'next');
    assert.deepEqual(handler.calls, heard);
    assert.equal(connections(), heard.length === 1 ? 1 : 2);
  });
}

/** All that comes with the head in one read. */
const CHUNKS = '2\r\nok\r\n2\r\nok\r\n0\r\n\r\n';

test('an exchange that is aborted while it connects or waits is heard of no more', async (t) => {
  const { origin, sockets } = await startServer(t, ({ request, socket }) => {
    if (request > 0) socket.write(sized('next'));
  });
  const client = clientOf(t, origin);
  const connecting = new Gatherer();
  dispatch(client, connecting);
  connecting.controller?.abort(STOP);
  const waiting = new Gatherer();
  dispatch(client, waiting);
  while (sockets.size === 0) await nextTurn();
  const [socket] = sockets;
  assert.ok(socket);
  await once(socket, 'data');
  waiting.controller?.abort(STOP);
  await once(socket, 'close');
  assert.equal((await ask(client)).body.toString(), 'next');
  assert.deepEqual([connecting.calls, waiting.calls], [['start'], ['start']]);
});

test('a request that is given up before it is written is not sent', async (t) => {
  let served = 0;
  const { origin, sockets } = await startServer(t, ({ socket }) => {
    served++;
    socket.write(sized('ok'));
  });
  const client = clientOf(t, origin);
  // Several in one turn: those of the next one are collected until it ends.
  await Promise.all([ask(client), ask(client)]);
  await nextTurn();
  const closed = Promise.race([...sockets].map((socket) => once(socket, 'close')));
  const given = new Gatherer({});
  dispatch(client, given);
  given.controller?.abort(STOP);
  await closed;
  assert.deepEqual([served, given.calls], [2, ['start']]);
});

test('the controls of an exchange that is over do nothing to the next one of its connection', async (t) => {
  const { origin, sockets, connections } = await startServer(t, ({ socket, request }) => {
    socket.write(request === 0 ? sized('first') : `${HEAD}01234`);
  });
  const client = clientOf(t, origin);
  const first = new Gatherer();
  dispatch(client, first);
  await first.outcome;
  await nextTurn();
  const { promise: piece, resolve } = Promise.withResolvers<void>();
  const second = new Gatherer({
    onData: (controller) => {
      controller.pause();
      resolve();
    },
  });
  dispatch(client, second);
  await piece;
  first.controller?.resume();
  for (const socket of sockets) socket.write('56789');
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(second.calls, ['start', 'head', 'data']);
  first.controller?.abort(STOP);
  second.controller?.resume();
  first.controller?.pause();
  assert.equal((await second.outcome).body.toString(), '0123456789');
  assert.equal(connections(), 1);
});
