import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { Readiness } from '../../src/http/types.ts';
import type { Pipeline } from '../../src/pipeline/types.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { pluginControl, send, start } from './support.ts';

test('GET /healthz answers 200 whatever the plugins do', async (t) => {
  const running = await start(t, {
    pipeline: () => null,
    plugins: pluginControl({ readiness: async () => ({ status: 'starting', plugins: {} }) }),
  });
  const answer = await send(running, 'GET', '/healthz');
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json(), { status: 'ok' });
});

test('GET /readyz answers 200 when ready and 503 while starting or draining', async (t) => {
  for (const [status, expected] of [
    ['ready', 200],
    ['starting', 503],
    ['draining', 503],
  ] as const) {
    const readiness: Readiness = { status, plugins: { base: { state: 'started', health: 'degraded' } } };
    const running = await start(t, { plugins: pluginControl({ readiness: async () => readiness }) });
    const answer = await send(running, 'GET', '/readyz');
    assert.equal(answer.status, expected, status);
    assert.deepEqual(answer.json(), readiness);
  }
});

test('readiness that cannot be told is not readiness', async (t) => {
  const running = await start(t, {
    plugins: pluginControl({ readiness: () => Promise.reject(new Error('the secret is 42')) }),
  });
  const answer = await send(running, 'GET', '/readyz');
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.text, /42/);
});

test('GET /metrics answers the text in its own content type', async (t) => {
  const answer = await send(await start(t), 'GET', '/metrics');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4');
  assert.equal(answer.text, 'up 1\n');
});

test('the open paths ask no plugin', async (t) => {
  const refuse = async (): Promise<never> => {
    throw new GatewayError('authentication_error', 'no');
  };
  const running = await start(t, {
    pipeline: () => emptyPipeline({ auth: refuse, middleware: (_req, res) => void res.status(418).end() }),
  });
  for (const path of ['/healthz', '/readyz', '/metrics', '/healthz?probe=1']) {
    assert.equal((await send(running, 'GET', path)).status, 200, path);
  }
});

test('the open paths answer HEAD without a body and other methods with 405 and Allow', async (t) => {
  const running = await start(t);
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    const head = await send(running, 'HEAD', path);
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const answer = await send(running, method, path);
      assert.equal(answer.status, 405);
      assert.equal(answer.headers.allow, 'GET, HEAD');
      assert.equal(answer.error().code, 'method_not_allowed');
    }
  }
});

test('everything else waits until the plugins have started', async (t) => {
  const { promise: started, resolve: begin } = Promise.withResolvers<void>();
  let current: Pipeline | null = null;
  const running = await start(t, { pipeline: () => current, started });
  const early = ['/v1/models', '/', '/hello'].map((path) => send(running, 'GET', path));
  assert.equal((await send(running, 'GET', '/healthz')).status, 200);
  current = emptyPipeline({ routes: (_req, res) => void res.json({ ok: true }) });
  begin();
  for (const answer of await Promise.all(early)) assert.equal(answer.text, '{"ok":true}');
});

test('requests that waited for a start that failed are answered with 503', async (t) => {
  const running = await start(t, { pipeline: () => null });
  const answer = await send(running, 'GET', '/hello');
  assert.equal(answer.status, 503);
  assert.equal(answer.error().code, 'gateway_draining');
});

test('every answer carries helmet headers, once, and no x-powered-by', async (t) => {
  const running = await start(t);
  for (const path of ['/healthz', '/nowhere', '/admin/plugins']) {
    const { headers } = await send(running, 'GET', path);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'SAMEORIGIN');
    assert.equal(headers['strict-transport-security'], 'max-age=31536000');
    assert.match(headers['content-security-policy'] as string, /^default-src 'self';/);
    assert.doesNotMatch(headers['content-security-policy'] as string, /upgrade-insecure-requests/);
    assert.equal(headers['x-powered-by'], undefined);
  }
});

test('a handler that sets one of the constant headers wins, however it sets it', async (t) => {
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({
        routes: (req, res) => {
          if (req.path === '/set') res.set('X-Frame-Options', 'DENY').end();
          if (req.path === '/object') res.writeHead(200, { 'x-frame-options': 'DENY' }).end();
          if (req.path === '/array') res.writeHead(200, ['X-FRAME-OPTIONS', 'DENY']).end();
        },
      }),
  });
  for (const path of ['/set', '/object', '/array']) {
    const { headers } = await send(running, 'GET', path);
    assert.equal(headers['x-frame-options'], 'DENY', path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
  }
});

test('the request id is the client own if it is sane, else a new one', async (t) => {
  const running = await start(t);
  const sane = ['a', 'req_0123.A-b:c', 'x'.repeat(128)];
  const insane = ['', 'x'.repeat(129), 'a b', 'a,b', '<script>', 'é', 'a"b', '{}', '../x'];
  for (const id of sane) {
    const { headers } = await send(running, 'GET', '/nowhere', { headers: { 'x-request-id': id } });
    assert.equal(headers['x-request-id'], id);
  }
  for (const id of insane) {
    const { headers } = await send(running, 'GET', '/healthz', { headers: { 'x-request-id': id } });
    assert.match(headers['x-request-id'] as string, /^[\da-f-]{36}$/, id);
  }
});

test('a handler cannot replace the request id', async (t) => {
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({ routes: (_req, res) => void res.set('x-request-id', 'upstream').json({}) }),
  });
  const { headers } = await send(running, 'GET', '/', { headers: { 'x-request-id': 'mine' } });
  assert.equal(headers['x-request-id'], 'mine');
});

test('Server-Timing is told in debug mode only', async (t) => {
  assert.equal((await send(await start(t), 'GET', '/healthz')).headers['server-timing'], undefined);
  const timing = (await send(await start(t, { debug: true }), 'GET', '/healthz')).headers['server-timing'];
  assert.match(timing as string, /^gateway;dur=\d+\.\d\d$/);
});

test('answers are counted by surface, method and status', async (t) => {
  const running = await start(t);
  await send(running, 'GET', '/healthz');
  await send(running, 'GET', '/healthz');
  await send(running, 'POST', '/nowhere');
  await send(running, 'DELETE', '/admin/x');
  assert.deepEqual(running.http.stats.rows(), [
    { surface: 'refused', method: 'other', status: '4xx', count: 1 },
    { surface: 'own', method: 'GET', status: '2xx', count: 2 },
    { surface: 'routes', method: 'POST', status: '4xx', count: 1 },
  ]);
});
