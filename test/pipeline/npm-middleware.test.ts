import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import compression from 'compression';
import cors from 'cors';
import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { createProxyMiddleware } from 'http-proxy-middleware';
import morgan from 'morgan';
import { Containment } from '../../src/containment/containment.ts';
import { compileMiddleware } from '../../src/pipeline/middleware.ts';
import { compileRoutes } from '../../src/pipeline/routes.ts';
import { ask, kinds, serve, signal } from '../containment/support.ts';
import { createMember, type TestMember } from './support.ts';

const BODY = 'all work and no play '.repeat(500);
const content: RequestHandler = (_req, res) => void res.type('text/plain').send(BODY);

/** The same middleware in front of a route of another plugin, and below a route. */
function inside(handler: RequestHandler): readonly TestMember[] {
  return [
    createMember('middleware', (bag) => void bag.middleware.push({ path: null, handler })),
    createMember('route', (bag) => {
      bag.routes.push({ method: 'get', path: '/own', handlers: [handler, content] });
      bag.routes.push({ method: 'get', path: '/content', handlers: [content] });
    }),
  ];
}

function listen(t: TestContext, members: readonly TestMember[]): Promise<string> {
  const containment = new Containment();
  const middleware = compileMiddleware(containment, members)?.handle;
  const routes = compileRoutes(containment, members);
  assert.ok(middleware && routes);
  return serve(t, middleware, routes);
}

function assertUnblamed(members: readonly TestMember[]): void {
  for (const { owner } of members) assert.deepEqual(kinds(owner), []);
}

describe('middleware from npm works inside a plugin unchanged', () => {
  it('cors', async (t) => {
    const members = inside(cors({ origin: 'https://app.example' }));
    const url = await listen(t, members);
    for (const path of ['/content', '/own']) {
      const response = await fetch(url + path, { headers: { origin: 'https://app.example' } });
      assert.equal(response.headers.get('access-control-allow-origin'), 'https://app.example');
      assert.equal(await response.text(), BODY);
    }
    const preflight = await fetch(`${url}/content`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
    });
    assert.equal(preflight.status, 204);
    assertUnblamed(members);
  });

  it('compression', async (t) => {
    const members = inside(compression());
    const url = await listen(t, members);
    for (const path of ['/content', '/own']) {
      const response = await fetch(url + path, { headers: { 'accept-encoding': 'gzip' } });
      assert.equal(response.headers.get('content-encoding'), 'gzip');
      assert.equal(await response.text(), BODY);
    }
    assertUnblamed(members);
  });

  it('express-rate-limit', async (t) => {
    const members = inside(rateLimit({ windowMs: 60_000, limit: 2, validate: false }));
    const url = await listen(t, members);
    const statuses = [];
    for (let each = 0; each < 4; each++) statuses.push((await fetch(`${url}/content`)).status);
    assert.deepEqual(statuses, [200, 200, 429, 429]);
    assertUnblamed(members);
  });

  it('morgan', async (t) => {
    const written = signal<string>();
    const members = inside(morgan(':method :url :status', { stream: { write: written.resolve } }));
    const url = await listen(t, members);
    assert.equal(await ask(`${url}/content`), `200 ${BODY}`);
    assert.equal(await written.done, 'GET /content 200\n');
    assertUnblamed(members);
  });

  it('http-proxy-middleware', async (t) => {
    const upstream = createServer((req, res) =>
      req.pipe(res.writeHead(203, { 'x-path': req.url ?? '' })),
    ).listen(0, '127.0.0.1');
    t.after(() => void upstream.close());
    await once(upstream, 'listening');
    const proxy = createProxyMiddleware({
      target: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    });
    const members = [
      createMember('middleware', (bag) => void bag.middleware.push({ path: '/proxied', handler: proxy })),
      createMember(
        'route',
        (bag) => void bag.routes.push({ method: 'mount', path: '/mounted', handlers: [proxy] }),
      ),
    ];
    const url = await listen(t, members);
    for (const path of ['/proxied', '/mounted']) {
      const response = await fetch(`${url}${path}/x?y=1`, { method: 'POST', body: BODY });
      assert.deepEqual([response.status, response.headers.get('x-path')], [203, '/x?y=1']);
      assert.equal(await response.text(), BODY);
    }
    assertUnblamed(members);
  });
});
