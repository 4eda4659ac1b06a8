import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dial, exchange, readToEnd, send, start, statusOf } from './support.ts';

const CLOSE = 'Connection: close\r\n\r\n';

test('requests that could be read in two ways are refused', async (t) => {
  const { port } = await start(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const cases: [name: string, status: number, text: string][] = [
    ['two Host headers', 400, `GET /healthz HTTP/1.1\r\n${host}Host: evil.test\r\n${CLOSE}`],
    ['two equal Host headers', 400, `GET /healthz HTTP/1.1\r\n${host}hOST: 127.0.0.1:${port}\r\n${CLOSE}`],
    ['no Host in HTTP/1.1', 400, `GET /healthz HTTP/1.1\r\n${CLOSE}`],
    ['an empty Host', 400, `GET /healthz HTTP/1.1\r\nHost:\r\n${CLOSE}`],
    ['a Host with a path', 400, `GET /healthz HTTP/1.1\r\nHost: evil/?\r\n${CLOSE}`],
    ['a Host with user information', 400, `GET /healthz HTTP/1.1\r\nHost: a@b\r\n${CLOSE}`],
    ['a Host with a blank', 400, `GET /healthz HTTP/1.1\r\nHost: a b\r\n${CLOSE}`],
    ['a Host that is a list', 400, `GET /healthz HTTP/1.1\r\nHost: a,b\r\n${CLOSE}`],
    ['a Host with a port that is none', 400, `GET /healthz HTTP/1.1\r\nHost: a:80x\r\n${CLOSE}`],
    ['an absolute target of another host', 421, `GET http://evil.test/healthz HTTP/1.1\r\n${host}${CLOSE}`],
    [
      'an absolute target and Host of another server',
      421,
      `GET http://evil.test/healthz HTTP/1.1\r\nHost: evil.test\r\n${CLOSE}`,
    ],
    [
      'an absolute target of this host with the Host of another',
      421,
      `GET http://127.0.0.1:${port}/healthz HTTP/1.1\r\nHost: evil.test\r\n${CLOSE}`,
    ],
    [
      'an absolute target with user information',
      400,
      `GET http://a@127.0.0.1:${port}/healthz HTTP/1.1\r\n${host}${CLOSE}`,
    ],
    [
      'an absolute target of another scheme',
      400,
      `GET ftp://127.0.0.1:${port}/healthz HTTP/1.1\r\n${host}${CLOSE}`,
    ],
    ['a target with a fragment', 400, `GET /healthz#x HTTP/1.1\r\n${host}${CLOSE}`],
    ['a target without a slash', 400, `GET healthz HTTP/1.1\r\n${host}${CLOSE}`],
    ['a NUL in the target', 400, `GET /health\0z HTTP/1.1\r\n${host}${CLOSE}`],
    ['the asterisk-form with GET', 400, `GET * HTTP/1.1\r\n${host}${CLOSE}`],
    ['CONNECT', 405, `CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n`],
    [
      'Content-Length and Transfer-Encoding',
      400,
      `POST /healthz HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'chunked in another coding',
      501,
      `POST /healthz HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n${CLOSE}0\r\n\r\n`,
    ],
    [
      'two lengths',
      400,
      `POST /healthz HTTP/1.1\r\n${host}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd`,
    ],
    [
      'a transfer coding that is not chunked',
      501,
      `POST /healthz HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\nabcd`,
    ],
    ['a header name with a blank before the colon', 400, `GET /healthz HTTP/1.1\r\n${host}X : y\r\n${CLOSE}`],
    ['a folded header', 400, `GET /healthz HTTP/1.1\r\n${host} folded: y\r\n${CLOSE}`],
    ['a bare line feed as the end of a line', 400, `GET /healthz HTTP/1.1\n${host}${CLOSE}`],
    ['a header of 20 KB', 431, `GET /healthz HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n${CLOSE}`],
    ['101 header fields', 431, `GET /healthz HTTP/1.1\r\n${host}${'X: y\r\n'.repeat(99)}${CLOSE}`],
    [
      'an expectation other than 100-continue',
      417,
      `GET /healthz HTTP/1.1\r\n${host}Expect: tea\r\n${CLOSE}`,
    ],
  ];
  for (const [name, status, text] of cases) {
    await t.test(`${name}: ${status}`, async () => {
      const answer = await exchange(port, text);
      assert.equal(statusOf(answer), status, answer);
      assert.match(answer, /^x-request-id: [\w-]{36}\r$/im);
      assert.match(answer, /^x-content-type-options: nosniff\r$/im);
      const { error } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
      assert.equal(error.type, 'invalid_request_error');
      assert.equal(typeof error.message, 'string');
    });
  }
});

test('requests that can be read in one way only are served', async (t) => {
  const { port } = await start(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const cases: [name: string, text: string][] = [
    ['the absolute-form of this host', `GET http://127.0.0.1:${port}/healthz HTTP/1.1\r\n${host}${CLOSE}`],
    [
      'the absolute-form by another of its names',
      `GET http://LOCALHOST:${port}/healthz HTTP/1.1\r\nHost: localhost:${port}\r\n${CLOSE}`,
    ],
    ['a Host without a port', `GET /healthz HTTP/1.1\r\nHost: gateway_1.internal\r\n${CLOSE}`],
    ['a Host that is an IPv6 address', `GET /healthz HTTP/1.1\r\nHost: [::1]:4000\r\n${CLOSE}`],
    ['HTTP/1.0 without Host', 'GET /healthz HTTP/1.0\r\n\r\n'],
    ['a query', `GET /healthz?a=b?c HTTP/1.1\r\n${host}${CLOSE}`],
    [
      'an offer to upgrade, which is ignored',
      `GET /healthz HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: upgrade, close\r\n\r\n`,
    ],
    ['100 header fields', `GET /healthz HTTP/1.1\r\n${host}${'X: y\r\n'.repeat(98)}${CLOSE}`],
  ];
  for (const [name, text] of cases) {
    await t.test(name, async () => {
      assert.equal(statusOf(await exchange(port, text)), 200);
    });
  }
});

test('OPTIONS * is a request like any other', async (t) => {
  const { port } = await start(t);
  assert.equal(statusOf(await exchange(port, `OPTIONS * HTTP/1.1\r\nHost: a\r\n${CLOSE}`)), 404);
});

test('what follows a refused request on its connection is not served', async (t) => {
  const { port } = await start(t);
  const smuggled = `GET /metrics HTTP/1.1\r\nHost: a\r\n${CLOSE}`;
  const answer = await exchange(
    port,
    `POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  );
  assert.equal(statusOf(answer), 400);
  assert.doesNotMatch(answer, /up 1/);
  const misread = 'POST /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 4\r\n\r\nabcd';
  const [, ...others] = (await exchange(port, misread + smuggled)).split('HTTP/1.1 ');
  assert.deepEqual(
    others.map((each) => each.slice(0, 3)),
    ['400'],
  );
});

test('broken chunks of a body that is being read end the request, and the server goes on', async (t) => {
  const running = await start(t);
  const { port } = running;
  const answer = await exchange(
    port,
    `POST /admin/plugins/base/quarantine HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer correct horse battery staple\r\n` +
      'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  );
  assert.equal(statusOf(answer), 400);
  assert.equal((await send(running, 'GET', '/healthz')).status, 200);
});

test('no target makes the server throw or reset', async (t) => {
  const running = await start(t);
  const target = fc
    .array(
      fc.constantFrom(
        '/',
        '%',
        '%00',
        '%2e',
        '..',
        '\\',
        ';',
        ':',
        '?',
        '&',
        'admin',
        'v1',
        '__proto__',
        '%zz',
        '{',
        '}',
        '*',
      ),
      { maxLength: 8 },
    )
    .map((parts) => `/${parts.join('')}`);
  await fc.assert(
    fc.asyncProperty(target, async (path) => {
      const { status } = await send(running, 'GET', path);
      assert.ok(status === 400 || status === 401 || status === 404, `${path}: ${status}`);
    }),
    { numRuns: 60 },
  );
  assert.deepEqual(running.logged, []);
});

test('a client that hangs up in the middle of its header is forgotten', async (t) => {
  const running = await start(t);
  const socket = await dial(running.port, 'GET /heal');
  socket.destroy();
  await readToEnd(socket);
  assert.equal((await send(running, 'GET', '/healthz')).status, 200);
});
