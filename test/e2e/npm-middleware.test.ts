import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGunzip } from 'node:zlib';
import { startGateway, tempDir } from '../support/gateway-process.ts';
import { chat, inspectPlugin, WITH_ADMIN } from './support.ts';

const NODE_MODULES = join(import.meta.dirname, '../../node_modules');

/** A dropped-in plugin with dependencies of its own. */
const plugin = (name: string, imports: string, startup: string): Record<string, string> => ({
  [`plugins/${name}/package.json`]: JSON.stringify({ name, type: 'module', main: './index.js' }),
  [`plugins/${name}/index.js`]: `${imports}
    export default { metadata: { name: '${name}', capabilities: ['ROUTES', 'MIDDLEWARE'] },
      startup(app, context) { ${startup} } };`,
});

test('Express middleware from npm works unchanged inside a plugin folder with its own node_modules', async (t) => {
  const upstream = createServer((req, res) => {
    res.setHeader('x-upstream', 'yes');
    req.pipe(res);
  }).listen(0, '127.0.0.1');
  t.after(() => upstream.close());
  await once(upstream, 'listening');
  const target = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;

  const dir = tempDir(t);
  const names = ['a-morgan', 'b-cors', 'c-limit', 'd-compression', 'e-proxy', 'f-router'];
  for (const name of names) {
    mkdirSync(join(dir, 'plugins', name), { recursive: true });
    symlinkSync(NODE_MODULES, join(dir, 'plugins', name, 'node_modules'));
  }
  const gateway = await startGateway(t, {
    dir,
    env: WITH_ADMIN,
    files: {
      ...plugin(
        'a-morgan',
        `import morgan from 'morgan';`,
        `app.use(morgan(':method :url :status', { stream: { write: (line) => context.logger.info('access', { line: line.trim() }) } }));`,
      ),
      ...plugin(
        'b-cors',
        `import cors from 'cors';`,
        `app.use(cors({ origin: 'https://app.example', exposedHeaders: ['x-request-id'] }));`,
      ),
      ...plugin(
        'c-limit',
        `import { rateLimit } from 'express-rate-limit';`,
        `app.use('/limited', rateLimit({ windowMs: 60000, limit: 2, standardHeaders: 'draft-8', legacyHeaders: false }));
         app.get('/limited', (req, res) => { res.json({ ip: req.ip }); });`,
      ),
      ...plugin(
        'd-compression',
        `import compression from 'compression';`,
        'app.use(compression({ threshold: 0 }));',
      ),
      ...plugin(
        'e-proxy',
        `import { createProxyMiddleware } from 'http-proxy-middleware';`,
        `app.mount('/proxied', createProxyMiddleware({ target: '${target}', changeOrigin: true }));`,
      ),
      ...plugin(
        'f-router',
        `import express from 'express';`,
        `const router = express.Router();
         router.use(express.json());
         router.post('/echo/:id', (req, res) => { res.status(201).json({ id: req.params.id, body: req.body, base: req.baseUrl }); });
         router.use((error, req, res, next) => { res.status(418).json({ own: error.type }); });
         app.mount('/routed', router);`,
      ),
    },
  });

  await t.test('all of them start', async () => {
    for (const name of names) {
      const { state, reason } = await inspectPlugin(gateway, name);
      assert.deepEqual([name, state, reason], [name, 'started', null]);
    }
  });

  await t.test('cors: headers on answers, and preflights of the data plane', async () => {
    const origin = 'https://app.example';
    const answer = await chat(gateway, { headers: { origin } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('access-control-allow-origin'), origin);
    assert.equal(answer.headers.get('access-control-expose-headers'), 'x-request-id');
    const preflight = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/);
  });

  await t.test('compression: JSON is compressed', async () => {
    const answer = await chat(gateway, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(answer.headers.get('content-encoding'), 'gzip');
    const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
    assert.equal(choices[0]?.message.content, 'hello there');
  });

  await t.test('compression: an SSE stream goes through it whole', async () => {
    const call = request(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'accept-encoding': 'gzip' },
    });
    call.end(
      JSON.stringify({ model: 'echo', stream: true, messages: [{ role: 'user', content: 'one two three' }] }),
    );
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    assert.equal(answer.headers['content-encoding'], 'gzip');
    assert.match(answer.headers['content-type'] ?? '', /^text\/event-stream/);
    let text = '';
    for await (const part of answer.pipe(createGunzip())) text += part;
    assert.match(text, /one/);
    assert.match(text, /data: \[DONE\]\n\n$/);
  });

  await t.test('express-rate-limit: the third request is refused, others are not touched', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await fetch(`${gateway.url}/limited`)).status);
    assert.deepEqual(statuses, [200, 200, 429]);
    assert.equal((await chat(gateway)).status, 200);
  });

  await t.test('http-proxy-middleware: request and answer pass both ways', async () => {
    const answer = await fetch(`${gateway.url}/proxied/some/path?x=1`, { method: 'POST', body: 'payload' });
    assert.deepEqual([answer.status, answer.headers.get('x-upstream')], [200, 'yes']);
    assert.equal(await answer.text(), 'payload');
  });

  await t.test('a router with body parser and error handler of its own', async () => {
    const post = (body: string): Promise<Response> =>
      fetch(`${gateway.url}/routed/echo/7`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
    const answer = await post('{"a":1}');
    assert.deepEqual(
      [answer.status, await answer.json()],
      [201, { id: '7', body: { a: 1 }, base: '/routed' }],
    );
    const refused = await post('{');
    assert.deepEqual([refused.status, await refused.json()], [418, { own: 'entity.parse.failed' }]);
    assert.equal((await fetch(`${gateway.url}/routed/elsewhere`)).status, 404);
  });

  await t.test('morgan: each request is told once, with its status', async () => {
    await gateway.logged(({ line }) => line === 'POST /v1/chat/completions 200');
    const lines = gateway.log.flatMap(({ line }) => (typeof line === 'string' ? [line] : []));
    assert.equal(lines.filter((line) => line === 'POST /proxied/some/path?x=1 200').length, 1);
    assert.equal(lines.filter((line) => line.startsWith('GET /limited')).length, 3);
  });

  await t.test('none of them has failed', async () => {
    for (const name of names) assert.equal((await inspectPlugin(gateway, name)).failures.total, 0, name);
    assert.equal(await gateway.stop(), 0);
  });
});
