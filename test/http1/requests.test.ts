import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { RESERVED_FIELDS, requestHead } from '../../src/http1/request-head.ts';
import { ask, clientOf, dispatch, Gatherer } from './support.ts';

interface Received {
  readonly req: IncomingMessage;
  readonly body: Buffer;
}

/** An HTTP server that is not ours reads what we write. */
async function start(
  t: TestContext,
): Promise<{ origin: string; received: Received[]; connections: () => number }> {
  const received: Received[] = [];
  let connections = 0;
  const server = createServer(async (req, res) => {
    const pieces: Buffer[] = [];
    for await (const piece of req) pieces.push(piece as Buffer);
    received.push({ req, body: Buffer.concat(pieces) });
    res.end('ok');
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, received, connections: () => connections };
}

test('a body of any bytes arrives as it is, as one text and in two pieces', async (t) => {
  const { origin, received, connections } = await start(t);
  const client = clientOf(t, origin);
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  for (const size of [0, 1, 255, 256, 16_383, 16_384, 16_385, 65_536, 1_048_576]) {
    const body = Buffer.alloc(size, every);
    assert.equal((await ask(client, { body })).error, null);
    const { req, body: arrived } = received.at(-1) as Received;
    assert.ok(arrived.equals(body), `${size} bytes`);
    assert.equal(req.headers['content-length'], String(size));
    await nextTurn();
    await nextTurn();
  }
  assert.equal(connections(), 1);
});

test('a random body arrives as it is', async (t) => {
  const { origin, received } = await start(t);
  const client = clientOf(t, origin);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40_000, size: 'max' }), async (bytes) => {
      await ask(client, { body: Buffer.from(bytes) });
      assert.ok(received.at(-1)?.body.equals(bytes));
    }),
    { numRuns: 50 },
  );
});

test('a request is one line, a host, and the fields that were given', async (t) => {
  const { origin, received } = await start(t);
  const head = requestHead('/v1/chat?api-version=1', 'upstream.test:8443', [
    ['content-type', 'application/json'],
    ['x-high', '\x80\xff'],
    ['x-tab', 'a\tb'],
  ]);
  const handler = new Gatherer();
  const headers = ['authorization', 'Bearer x', 'x-empty', ''];
  clientOf(t, origin).dispatch({ head, headers, body: Buffer.from('{}'), idleMs: 5_000 }, handler);
  assert.equal((await handler.outcome).status, 200);
  const { req } = received[0] as Received;
  assert.deepEqual([req.method, req.url, req.httpVersion], ['POST', '/v1/chat?api-version=1', '1.1']);
  assert.deepEqual(req.rawHeaders, [
    ...['host', 'upstream.test:8443', 'connection', 'keep-alive', 'content-type', 'application/json'],
    ...[
      'x-high',
      '\x80\xff',
      'x-tab',
      'a\tb',
      'authorization',
      'Bearer x',
      'x-empty',
      '',
      'content-length',
      '2',
    ],
  ]);
});

for (const [name, value] of [
  ['CR and LF', 'a\r\nx-smuggled: b'],
  ['CR', 'a\rb'],
  ['LF', 'a\nb'],
  ['NUL', 'a\0b'],
  ['DEL', 'a\x7fb'],
  ['a character that is no byte', 'a\u{100}b'],
  ['one that ends in the byte of LF', 'a\u{10a}b'],
] as const) {
  test(`a value with ${name} is refused before anybody hears of the request`, async (t) => {
    const { origin, connections } = await start(t);
    const client = clientOf(t, origin);
    const handler = new Gatherer();
    const refusal = { code: 'HTTP1_INVALID_REQUEST', message: /"x-value"/ };
    assert.throws(() => dispatch(client, handler, { headers: ['x-value', value] }), refusal);
    assert.throws(() => requestHead('/', 'upstream.test', [['x-value', value]]), refusal);
    assert.throws(() => requestHead('/', value, []), { code: 'HTTP1_INVALID_REQUEST' });
    assert.deepEqual(handler.calls, []);
    assert.equal(connections(), 0);
  });
}

test('names that are none, and those that frame a request, are refused', () => {
  const reserved = [...RESERVED_FIELDS].flatMap((name) => [name, name.toUpperCase()]);
  for (const name of ['', 'a b', 'a:', 'a\r\nb', 'ä', 'a\0', ...reserved]) {
    assert.throws(
      () => requestHead('/', 'upstream.test', [[name, 'x']]),
      { code: 'HTTP1_INVALID_REQUEST' },
      name,
    );
  }
});

test('targets that are no path are refused', () => {
  for (const target of ['', 'v1', '/a b', '/a\r\n', '/ä', '/a\0', 'http://elsewhere.test/', '*']) {
    assert.throws(() => requestHead(target, 'upstream.test', []), { code: 'HTTP1_INVALID_REQUEST' }, target);
  }
});
