import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { clientOf, dispatch, Gatherer, sized, startServer } from './support.ts';

/** A handler and a lender that write down in turn what they hear. */
function listening(): { readonly handler: Gatherer; readonly lender: { onSent(): void } } {
  const handler = new Gatherer();
  return { handler, lender: { onSent: () => void handler.calls.push('sent') } };
}

for (const [size, body] of [
  ['small', Buffer.from('{}')],
  ['large', Buffer.from(JSON.stringify('x'.repeat(1024 * 1024)))],
] as const) {
  test(`a ${size} body is given back once, before the response has come to its end`, async (t) => {
    const { origin } = await startServer(t, ({ socket }) => socket.write(sized('ok')));
    const { handler, lender } = listening();
    dispatch(clientOf(t, origin), handler, { body, lender });
    await handler.outcome;
    assert.deepEqual(handler.calls, ['start', 'head', 'data', 'sent', 'end']);
  });
}

test('a body is given back although the connection closes behind the response', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end'));
  const { handler, lender } = listening();
  dispatch(clientOf(t, origin), handler, { lender });
  await handler.outcome;
  assert.deepEqual(handler.calls.slice(-2), ['sent', 'end']);
});

test('a body of which something is still to be written is not given back', async (t) => {
  const server = await startServer(t, () => {});
  const { handler, lender } = listening();
  // More than the system takes.
  dispatch(clientOf(t, server.origin), handler, { body: Buffer.alloc(32 * 1024 * 1024), lender });
  while (server.sockets.size === 0) await nextTurn();
  const [socket] = server.sockets;
  assert.ok(socket);
  socket.pause();
  socket.write(sized('early'));
  await handler.outcome;
  socket.resume();
  await once(socket, 'close');
  assert.deepEqual(handler.calls, ['start', 'head', 'data', 'end']);
});

test('a body whose exchange fails is not given back', async (t) => {
  const { origin } = await startServer(t, ({ socket }) => socket.destroy());
  const { handler, lender } = listening();
  dispatch(clientOf(t, origin), handler, { lender });
  await handler.outcome;
  assert.deepEqual(handler.calls, ['start', 'error']);
});
