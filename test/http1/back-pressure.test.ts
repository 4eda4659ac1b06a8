import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ask, clientOf, dispatch, Gatherer, sized, startServer } from './support.ts';

const BODY = randomBytes(64 * 1024 * 1024);
/** More than the buffers of both sockets hold. */
const MOST_IN_BUFFERS = 32 * 1024 * 1024;

test('a paused response stops its server, and nothing of it is lost', async (t) => {
  let sent = 0;
  const { origin } = await startServer(t, ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n`);
    const more = (): void => {
      while (sent < BODY.length) {
        const piece = BODY.subarray(sent, sent + 65_536);
        sent += piece.length;
        if (!socket.write(piece)) return;
      }
    };
    socket.on('drain', more);
    more();
  });
  const hash = createHash('sha256');
  let length = 0;
  const { promise: paused, resolve } = Promise.withResolvers<void>();
  const handler = new Gatherer({
    onHead: (controller) => {
      controller.pause();
      resolve();
    },
    onData: (_controller, chunk) => {
      length += chunk.length;
      hash.update(chunk);
    },
  });
  dispatch(clientOf(t, origin), handler);
  await paused;
  await until(() => sent);
  assert.ok(sent < MOST_IN_BUFFERS, `${sent} bytes were sent`);
  assert.ok(length <= 65_536, `${length} bytes came behind the pause`);
  handler.controller?.resume();
  assert.equal((await handler.outcome).error, null);
  assert.equal(hash.digest('hex'), createHash('sha256').update(BODY).digest('hex'));
});

/** Resolves when `value` stands still. */
async function until(value: () => number): Promise<void> {
  for (let before = -1; before !== value(); ) {
    before = value();
    await new Promise((done) => setTimeout(done, 100));
  }
}

test('a response that is paused at every piece loses nothing', async (t) => {
  const body = BODY.subarray(0, 1024 * 1024);
  const { origin } = await startServer(t, ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let at = 0; at < body.length; at += 10_000) {
      const piece = body.subarray(at, at + 10_000);
      socket.write(`${piece.length.toString(16)}\r\n`);
      socket.write(piece);
      socket.write('\r\n');
    }
    socket.write('0\r\n\r\n');
  });
  const outcome = await ask(
    clientOf(t, origin),
    {},
    {
      onData: (controller) => {
        controller.pause();
        setImmediate(() => controller.resume());
      },
    },
  );
  assert.equal(outcome.error, null);
  assert.ok(outcome.body.equals(body));
});

test('a pause in the last piece, or of a response without a body, does not block the next exchange', async (t) => {
  const { origin, connections } = await startServer(t, ({ socket, request }) => {
    socket.write(request === 1 ? 'HTTP/1.1 204 No Content\r\n\r\n' : sized('whole'));
  });
  const client = clientOf(t, origin);
  for (let at = 0; at < 4; at++) {
    const { error } = await ask(
      client,
      {},
      {
        onHead: (controller) => controller.pause(),
        onData: (controller) => controller.pause(),
      },
    );
    assert.equal(error, null);
    await nextTurn();
    await nextTurn();
  }
  assert.equal(connections(), 1);
});

test('a pause before the connection is made holds from the first byte', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => socket.write(sized('ok')));
  const handler = new Gatherer();
  dispatch(clientOf(t, origin), handler);
  handler.controller?.pause();
  await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(handler.calls, ['start']);
  handler.controller?.resume();
  assert.equal((await handler.outcome).body.toString(), 'ok');
});
