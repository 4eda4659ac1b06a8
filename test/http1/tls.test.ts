import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { before, describe, type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createServer as createTlsServer, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { type Certificate, createCertificate, WITHOUT_OPENSSL } from '../support/certificates.ts';
import { ask, clientOf, dispatch, Gatherer } from './support.ts';

const HAS_IPV6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);
const BODY = Buffer.alloc(300_000, 'abcdefg');

describe('a client over TLS', { skip: WITHOUT_OPENSSL }, () => {
  let certificate: Certificate;

  before(() => {
    certificate = createCertificate('DNS:localhost,IP:127.0.0.1,IP:::1');
    setDefaultCACertificates([readFileSync(certificate.ca, 'utf8')]);
  });

  /** Answers with what it has got, and tells how each connection was made. */
  async function start(t: TestContext, address = '127.0.0.1', used = certificate): Promise<Server> {
    const handshakes: Handshake[] = [];
    const server = createServer({
      cert: readFileSync(used.cert),
      key: readFileSync(used.key),
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    server.on('secureConnection', (socket: TLSSocket & { servername?: string | false }) => {
      const { servername, alpnProtocol } = socket;
      handshakes.push({ isResumed: socket.isSessionReused(), servername, alpnProtocol });
    });
    server.on('request', (req, res) => {
      req.resume().on('end', () => {
        if (req.headers['x-close'] !== undefined) res.setHeader('connection', 'close');
        res.end(BODY);
      });
    });
    server.listen(0, address);
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port, handshakes };
  }

  test('asks, and uses its connection again', async (t) => {
    const { port, handshakes } = await start(t);
    const client = clientOf(t, `https://127.0.0.1:${port}`);
    for (let at = 0; at < 3; at++) {
      const { error, body } = await ask(client, { body: Buffer.alloc(200_000, 'x') });
      assert.equal(error, null);
      assert.ok(body.equals(BODY));
      await nextTurn();
      await nextTurn();
    }
    assert.deepEqual(handshakes, [{ isResumed: false, servername: false, alpnProtocol: 'http/1.1' }]);
  });

  test('resumes its session, and names the server', async (t) => {
    const { port, handshakes } = await start(t);
    const client = clientOf(t, `https://localhost:${port}`);
    for (let at = 0; at < 2; at++) {
      const { error, body } = await ask(client, { headers: ['x-close', '1'] });
      assert.equal(error, null);
      assert.ok(body.equals(BODY));
    }
    assert.deepEqual(
      handshakes.map(({ isResumed, servername }) => ({ isResumed, servername })),
      [
        { isResumed: false, servername: 'localhost' },
        { isResumed: true, servername: 'localhost' },
      ],
    );
  });

  test('takes an address of IPv6 out of its brackets', async (t) => {
    const { port } = await start(t, HAS_IPV6 ? '::1' : '127.0.0.1');
    const { error, body } = await ask(clientOf(t, `https://[::1]:${port}`));
    if (HAS_IPV6) {
      assert.equal(error, null);
      assert.ok(body.equals(BODY));
    } else {
      // Dialled, not looked up as a name.
      assert.match(error?.code ?? 'none', /^E(ADDRNOTAVAIL|NETUNREACH|AFNOSUPPORT|CONNREFUSED)$/);
    }
  });

  test('refuses the certificate of another host, and one that nobody vouches for', async (t) => {
    const elsewhere = createCertificate('DNS:elsewhere.test');
    const { port } = await start(t, '127.0.0.1', elsewhere);
    const unknown = await ask(clientOf(t, `https://localhost:${port}`));
    assert.equal(unknown.error?.code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    setDefaultCACertificates([certificate, elsewhere].map(({ ca }) => readFileSync(ca, 'utf8')));
    const misnamed = await ask(clientOf(t, `https://localhost:${port}`));
    assert.equal(misnamed.error?.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('pauses and resumes at every piece', async (t) => {
    const { port } = await start(t);
    const client = clientOf(t, `https://127.0.0.1:${port}`);
    for (let at = 0; at < 2; at++) {
      const { error, body } = await ask(
        client,
        {},
        {
          onHead: (controller) => {
            controller.pause();
            setImmediate(() => controller.resume());
          },
          onData: (controller) => {
            controller.pause();
            setImmediate(() => controller.resume());
          },
        },
      );
      assert.equal(error, null);
      assert.ok(body.equals(BODY));
    }
  });

  test('hears nothing while it is paused', async (t) => {
    const { port } = await start(t);
    const handler = new Gatherer({ onHead: (controller) => controller.pause() });
    dispatch(clientOf(t, `https://127.0.0.1:${port}`), handler);
    while (!handler.calls.includes('head')) await nextTurn();
    const { length } = handler.calls;
    await new Promise((done) => setTimeout(done, 50));
    assert.equal(handler.calls.length, length);
    handler.controller?.resume();
    assert.ok((await handler.outcome).body.equals(BODY));
  });

  test('fails at a server that speaks no TLS', async (t) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { error } = await ask(clientOf(t, `https://127.0.0.1:${port}`));
    assert.equal(error?.code, 'EPROTO');
  });

  test('is told when its connection is cut in the middle', async (t) => {
    const options = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
    const server = createTlsServer(options, (socket) => {
      socket
        .on('error', () => {})
        .once('data', () => {
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
        });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { error } = await ask(clientOf(t, `https://127.0.0.1:${port}`));
    assert.equal(error?.code, 'HTTP1_CLOSED');
  });
});

interface Handshake {
  readonly isResumed: boolean;
  readonly servername: string | false | undefined;
  readonly alpnProtocol: string | false | null;
}

interface Server {
  readonly port: number;
  readonly handshakes: readonly Handshake[];
}
