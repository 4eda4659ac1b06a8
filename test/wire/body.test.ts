import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createConnection, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { readBody } from '../../src/wire/body.ts';

const LIMIT = 100;

describe('readBody', () => {
  it('puts the parts together', async (t) => {
    const { socket, body } = await requestTo(t, 'transfer-encoding: chunked');
    socket.write('3\r\nabc\r\n');
    socket.write('2\r\nde\r\n0\r\n\r\n');
    assert.equal((await body).toString(), 'abcde');
  });

  it('is empty when there is no body', async (t) => {
    const { body } = await requestTo(t, 'content-length: 0');
    assert.equal((await body).length, 0);
  });

  it('refuses what is announced as too large before it is sent', async (t) => {
    const { body } = await requestTo(t, `content-length: ${LIMIT + 1}`);
    await assert.rejects(body, { code: 'body_too_large', status: 413 });
  });

  it('refuses what turns out to be too large, and reads on for as many bytes again', async (t) => {
    const { socket, body, req } = await requestTo(t, 'transfer-encoding: chunked');
    socket.write(`65\r\n${'x'.repeat(101)}\r\n`);
    await assert.rejects(body, { code: 'body_too_large' });
    assert.equal(req.destroyed, false);
    socket.write(`65\r\n${'x'.repeat(101)}\r\n`);
    await once(socket, 'close');
    assert.equal(req.destroyed, true);
  });

  it('rejects when the client hangs up in the middle', async (t) => {
    const { socket, body } = await requestTo(t, 'content-length: 50');
    socket.write('abc');
    socket.destroy();
    await assert.rejects(body, { code: 'client_gone' });
  });

  it('rejects when the client had hung up before', async (t) => {
    const { socket, req } = await requestTo(t, 'content-length: 50');
    socket.destroy();
    await once(req, 'close').catch(() => undefined);
    await assert.rejects(readBody(req, LIMIT), { code: 'client_gone' });
  });
});

/** The head of a request, and what its server reads of the body. */
async function requestTo(
  t: TestContext,
  header: string,
): Promise<{ socket: Socket; req: IncomingMessage; body: Promise<Buffer> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  t.after(() => {
    socket.destroy();
    server.close();
  });
  socket.write(`POST / HTTP/1.1\r\nhost: x\r\n${header}\r\n\r\n`);
  const [req] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  const body = readBody(req, LIMIT);
  body.catch(() => undefined);
  return { socket, req, body };
}
