import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import { ReloadFailedError } from '../../src/lifecycle/abort.ts';
import { emptyPipeline, everywhere } from '../support/pipeline.ts';
import { ADMIN_KEY, type Answer, pluginControl, pluginView, type Running, send, start } from './support.ts';

const KEY = { authorization: `Bearer ${ADMIN_KEY}` };

function ask(running: Running, method: string, path: string, body?: string): Promise<Answer> {
  const headers = body === undefined ? KEY : { ...KEY, 'content-type': 'application/json' };
  return send(running, method, path, body === undefined ? { headers } : { headers, body });
}

/** Answers every path, as a plugin with the route `/admin/base/x` would. */
const ROUTES = emptyPipeline({ routes: (req, res) => void res.json({ path: req.path }) });

const ADMIN_PATHS = [
  '/admin',
  '/admin/',
  '/admin/plugins',
  '/admin/plugins/base',
  '/admin/nowhere',
  '/admin/base/x',
  '/ADMIN/base/x',
];

test('without a configured key no path below /admin exists', async (t) => {
  const running = await start(t, { adminKey: null, pipeline: () => ROUTES });
  for (const path of ADMIN_PATHS) {
    for (const headers of [{}, KEY, { authorization: 'Bearer ' }, { authorization: 'Bearer null' }]) {
      const answer = await send(running, 'GET', path, { headers: headers as Record<string, string> });
      assert.equal(answer.status, 404, path);
      assert.equal(answer.error().code, 'not_found');
      assert.equal(answer.headers['www-authenticate'], undefined);
    }
  }
});

test('without the right key every path below /admin answers 401', async (t) => {
  const running = await start(t, { pipeline: () => ROUTES });
  const wrong: Record<string, string>[] = [
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer  ' },
    { authorization: ADMIN_KEY },
    { authorization: `Basic ${ADMIN_KEY}` },
    { authorization: `Bearer ${ADMIN_KEY}x` },
    { authorization: `Bearer ${ADMIN_KEY.slice(0, -1)}` },
    { authorization: `Bearer ${ADMIN_KEY.toUpperCase()}` },
    { 'x-api-key': ADMIN_KEY },
  ];
  for (const path of ADMIN_PATHS) {
    for (const headers of wrong) {
      const answer = await send(running, 'GET', path, { headers });
      assert.equal(answer.status, 401, `${path} ${JSON.stringify(headers)}`);
      assert.equal(answer.headers['www-authenticate'], 'Bearer');
      assert.equal(answer.error().type, 'authentication_error');
    }
  }
});

test('the scheme of the key is not case-sensitive', async (t) => {
  const headers = { authorization: `bearer ${ADMIN_KEY}` };
  assert.equal((await send(await start(t), 'GET', '/admin/plugins', { headers })).status, 200);
});

test('GET /admin/plugins lists the order and every plugin', async (t) => {
  const plugins = [
    pluginView('base'),
    pluginView('bad', { state: 'rejected', reason: { code: 'plugin_load', message: 'x' } }),
  ];
  const running = await start(t, { plugins: pluginControl({ list: () => ({ order: ['base'], plugins }) }) });
  const answer = await ask(running, 'GET', '/admin/plugins');
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json(), { order: ['base'], plugins });
  assert.equal(answer.headers['cache-control'], 'no-store');
});

test('GET /admin/plugins/:name shows one plugin, whatever its name', async (t) => {
  const names = ['base', '__proto__', 'constructor', 'reload', 'release', 'a b', 'ü/x'];
  const views = new Map(names.map((name) => [name, pluginView(name)]));
  const running = await start(t, { plugins: pluginControl({ get: (name) => views.get(name) ?? null }) });
  for (const name of names) {
    const answer = await ask(running, 'GET', `/admin/plugins/${encodeURIComponent(name)}`);
    assert.equal(answer.status, 200, name);
    assert.deepEqual(answer.json(), JSON.parse(JSON.stringify(views.get(name))));
  }
  assert.equal((await ask(running, 'GET', '/admin/plugins/toString')).error().code, 'not_found');
  assert.equal((await ask(running, 'GET', '/admin/plugins/%zz')).status, 400);
});

test('actions answer with the plugin as it then is', async (t) => {
  const calls: unknown[] = [];
  const running = await start(t, {
    plugins: pluginControl({
      release: async (name) => {
        calls.push(['release', name]);
        return pluginView(name);
      },
      quarantine: async (name, cause) => {
        calls.push(['quarantine', name, cause]);
        return pluginView(name, { state: 'quarantined' });
      },
    }),
  });
  assert.deepEqual((await ask(running, 'POST', '/admin/plugins/base/release')).json(), pluginView('base'));
  const quarantined = await ask(
    running,
    'POST',
    '/admin/plugins/__proto__/quarantine',
    '{"cause":"too slow"}',
  );
  assert.deepEqual(quarantined.json(), pluginView('__proto__', { state: 'quarantined' }));
  await ask(running, 'POST', '/admin/plugins/base/quarantine');
  await ask(running, 'POST', '/admin/plugins/base/quarantine', '{}');
  assert.deepEqual(calls, [
    ['release', 'base'],
    ['quarantine', '__proto__', 'too slow'],
    ['quarantine', 'base', 'quarantined by an operator'],
    ['quarantine', 'base', 'quarantined by an operator'],
  ]);
});

test('the plugin host refuses with its own code', async (t) => {
  const running = await start(t, {
    plugins: pluginControl({
      release: () =>
        Promise.reject(new GatewayError('conflict', 'Plugin "base" is started, expected quarantined')),
      quarantine: () => Promise.reject(new GatewayError('not_found', 'There is no plugin "nobody"')),
    }),
  });
  assert.equal((await ask(running, 'POST', '/admin/plugins/base/release')).status, 409);
  assert.equal((await ask(running, 'POST', '/admin/plugins/nobody/quarantine')).status, 404);
});

test('a body that tells no cause is refused before anything is done', async (t) => {
  const running = await start(t, {
    plugins: pluginControl({ quarantine: () => assert.fail('must not be called') }),
  });
  const cases: [body: string, status: number, code: string][] = [
    ['{"cause":', 400, 'invalid_json'],
    ['[]', 400, 'invalid_request'],
    ['null', 400, 'invalid_request'],
    ['{"cause":1}', 400, 'invalid_request'],
    ['{"cause":" "}', 400, 'invalid_request'],
    [`{"cause":"${'x'.repeat(501)}"}`, 400, 'invalid_request'],
    [`{"cause":"${'x'.repeat(60_000)}"}`, 413, 'body_too_large'],
  ];
  for (const [body, status, code] of cases) {
    const answer = await ask(running, 'POST', '/admin/plugins/base/quarantine', body);
    assert.equal(answer.status, status, body.slice(0, 40));
    assert.equal(answer.error().code, code);
  }
  const text = await send(running, 'POST', '/admin/plugins/base/quarantine', {
    headers: KEY,
    body: '{"cause":"x"}',
  });
  assert.equal(text.status, 415);
});

test('reload answers with what has changed, and with what failed', async (t) => {
  const changed = [
    { name: 'base', change: 'reloaded', state: 'started', from: '1.0.0', to: '1.1.0' } as const,
  ];
  const asked: (string | null)[] = [];
  const running = await start(t, {
    plugins: pluginControl({
      async reload(name) {
        asked.push(name);
        if (name === 'bad')
          throw new ReloadFailedError([{ name: 'bad', code: 'plugin_load', message: 'no entry' }]);
        return { changed, unchanged: [] };
      },
    }),
  });
  const all = await ask(running, 'POST', '/admin/plugins/reload');
  assert.deepEqual([all.status, all.json()], [200, { changed, unchanged: [] }]);
  const one = await ask(running, 'POST', '/admin/plugins/base/reload');
  assert.deepEqual([one.status, one.json()], [200, { ...pluginView('base'), changed, unchanged: [] }]);
  const bad = await ask(running, 'POST', '/admin/plugins/bad/reload');
  assert.deepEqual([bad.status, bad.error().code], [422, 'plugin_reload_failed']);
  assert.deepEqual((bad.json() as { failed: unknown }).failed, [
    { name: 'bad', code: 'plugin_load', message: 'no entry' },
  ]);
  assert.deepEqual(asked, [null, 'base', 'bad']);
});

test('wrong methods answer 405 with Allow, unknown paths 404', async (t) => {
  const running = await start(t);
  const wrongMethods = [
    ['POST', '/admin/plugins', 'GET, HEAD'],
    ['DELETE', '/admin/plugins/base', 'GET, HEAD'],
    ['GET', '/admin/plugins/base/release', 'POST'],
    ['GET', '/admin/plugins/base/quarantine', 'POST'],
  ] as const;
  for (const [method, path, allowed] of wrongMethods) {
    const answer = await ask(running, method, path);
    assert.equal(answer.status, 405, path);
    assert.equal(answer.headers.allow, allowed);
  }
  const unknown = [
    '/admin',
    '/admin/',
    '/admin/x',
    '/admin/plugins/base/x',
    '/admin/plugins/base/toString',
    '/admin/plugins/base/release/x',
  ];
  for (const path of unknown) {
    assert.equal((await ask(running, 'POST', path)).status, 404, path);
  }
});

test('routes of plugins below /admin need the key and no identity', async (t) => {
  const refuse = async (): Promise<never> => {
    throw new GatewayError('authentication_error', 'no');
  };
  const running = await start(t, { pipeline: () => ({ ...ROUTES, auth: refuse }) });
  assert.deepEqual((await ask(running, 'GET', '/admin/base/x')).json(), { path: '/admin/base/x' });
  assert.equal((await ask(running, 'GET', '/base/x')).status, 401);
});

test('a middleware that moves a request in or out of /admin moves it under the other guard', async (t) => {
  const refuse = async (): Promise<never> => {
    throw new GatewayError('permission_error', 'no');
  };
  const running = await start(t, {
    pipeline: () => ({
      ...ROUTES,
      auth: async (request) => (request.path === '/in' ? { id: 'team' } : refuse()),
      middleware: everywhere((req, _res, next) => {
        req.url = req.url === '/in' ? '/admin/base/x' : '/base/x';
        next();
      }),
    }),
  });
  assert.equal((await send(running, 'GET', '/in')).status, 401);
  assert.equal((await ask(running, 'GET', '/in')).status, 200);
  assert.equal((await ask(running, 'GET', '/admin/base/x')).status, 403);
});

test('the admin API works while plugins start and when their middleware does not answer', async (t) => {
  const starting = await start(t, { pipeline: () => null });
  assert.equal((await ask(starting, 'GET', '/admin/plugins')).status, 200);
  const hanging = await start(t, { pipeline: () => emptyPipeline({ middleware: () => {} }) });
  assert.equal((await ask(hanging, 'POST', '/admin/plugins/base/quarantine')).status, 200);
});
