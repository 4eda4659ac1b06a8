import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';
import { admin, inspectPlugin, listPlugins, outcome, pluginFile, tracing, WITH_ADMIN } from './support.ts';

const PATHS: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/plugins'],
  ['GET', '/plugins/a'],
  ['POST', '/plugins/a/release'],
  ['POST', '/plugins/a/quarantine'],
  ['POST', '/plugins/a/reload'],
  ['POST', '/plugins/reload'],
  ['GET', '/a/panel'],
  ['GET', '/A/PANEL'],
  ['GET', '/'],
];

const WITH_PANEL = pluginFile({
  metadata: { name: 'a', capabilities: ['ROUTES'] },
  startup(app) {
    app.get('/admin/a/panel', (_req, res) => void res.json({ panel: true }));
    app.get('/a', (_req, res) => void res.json({ open: true }));
  },
});

describe('admin', { concurrency: 2 }, () => {
  test('without a key everything below /admin is 404, also what plugins have there', async (t) => {
    const gateway = await startGateway(t, { files: { 'plugins/a.mjs': WITH_PANEL } });
    for (const [method, path] of PATHS) {
      assert.deepEqual(
        await outcome(admin(gateway, path, { method })),
        { status: 404, code: 'not_found' },
        path,
      );
    }
    assert.equal((await fetch(`${gateway.url}/ADMIN/a/panel`)).status, 404);
    assert.equal((await fetch(`${gateway.url}/a`)).status, 200);
  });

  test('without the right key everything below /admin is 401', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/a.mjs': WITH_PANEL } });
    const wrong = ['Bearer wrong', 'Bearer ', WITH_ADMIN.LLMROUTER_ADMIN_KEY ?? '', 'Basic YTpi'];
    for (const [method, path] of PATHS) {
      for (const authorization of wrong) {
        const response = await fetch(`${gateway.url}/admin${path}`, { method, headers: { authorization } });
        assert.deepEqual(await outcome(response), { status: 401, code: 'authentication_error' }, path);
      }
    }
    assert.equal((await fetch(`${gateway.url}/ADMIN/a/panel`)).status, 401);
    assert.deepEqual(await (await admin(gateway, '/a/panel')).json(), { panel: true });
  });

  test('every plugin seen is listed, refused ones with a code and a sentence that tells what to change', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: './denied.mjs,./absent.mjs',
        LLMROUTER_PLUGINS_ALLOWLIST:
          './absent.mjs,plugins/boom.mjs,plugins/conflict.mjs,plugins/first.mjs,plugins/heir.mjs,plugins/idle,plugins/off.mjs,plugins/syntax.mjs,plugins/usurper.mjs',
        LLMROUTER_PLUGINS_DISABLED: 'off',
      },
      files: {
        'denied.mjs': tracing({ name: 'denied' }),
        'plugins/first.mjs': tracing(
          { name: 'first', priority: 1, capabilities: ['ROUTES'] },
          `app.get('/x/:id', () => {});`,
        ),
        'plugins/boom.mjs': tracing({ name: 'boom' }, 'throw new Error("no database at db:5432");'),
        'plugins/conflict.mjs': tracing(
          { name: 'conflict', capabilities: ['ROUTES'] },
          `app.get('/y', () => {}); app.get('/x/new', () => {});`,
        ),
        'plugins/heir.mjs': tracing(
          { name: 'heir', capabilities: ['ROUTES'] },
          `app.get('/y', (req, res) => res.json({}));`,
        ),
        'plugins/usurper.mjs': tracing(
          { name: 'usurper', capabilities: ['ROUTES'] },
          `app.post('/v1/chat/completions', () => {});`,
        ),
        'plugins/idle/package.json': JSON.stringify({
          name: 'idle',
          type: 'module',
          llmrouter: { entry: './index.js', activation: { env: ['ACME_URL'] } },
        }),
        'plugins/idle/index.js': tracing({ name: 'idle' }),
        'plugins/off.mjs': tracing({ name: 'off' }),
        'plugins/syntax.mjs': 'export default class {',
      },
    });
    const { order, plugins } = await listPlugins(gateway);
    const told = Object.fromEntries(
      plugins.map(({ name, state, reason }) => [name, `${state} ${reason?.code}: ${reason?.message}`]),
    );
    assert.match(told.first ?? '', /^started undefined/);
    assert.match(told.denied ?? '', /^rejected plugin_not_allowlisted: .*\.\/denied\.mjs/);
    assert.match(told.absent ?? '', /^failed plugin_load: .*\.\/absent\.mjs.*not found/);
    assert.match(told.boom ?? '', /^failed plugin_error: .*no database at db:5432/);
    assert.match(told.conflict ?? '', /^failed route_conflict: .*\/x\/new.*"conflict".*\/x\/:id.*"first"/);
    assert.match(told.usurper ?? '', /^failed route_conflict: .*"usurper".*the gateway/);
    assert.match(told.idle ?? '', /^inactive plugin_inactive: .*ACME_URL/);
    assert.match(told.off ?? '', /^inactive plugin_disabled: .*LLMROUTER_PLUGINS_DISABLED/);
    assert.match(told.syntax ?? '', /^failed plugin_load: .*plugins\/syntax\.mjs/);
    assert.deepEqual(
      order.filter((name) => plugins.find((plugin) => plugin.name === name)?.state === 'started'),
      ['first', 'heir'],
    );
    assert.equal((await fetch(`${gateway.url}/y`)).status, 200, 'what a failed startup had claimed is free');
  });

  test('a health check that hangs holds up /readyz no longer than a call into a plugin may take', async (t) => {
    const hangs = pluginFile({
      metadata: { name: 'a' },
      startup() {},
      healthCheck() {
        return new Promise(() => undefined);
      },
    });
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '100' },
      files: { 'plugins/a.mjs': hangs },
    });
    const response = await fetch(`${gateway.url}/readyz`, { signal: AbortSignal.timeout(4_000) });
    assert.deepEqual(await response.json(), {
      status: 'ready',
      plugins: { a: { state: 'started', health: 'unhealthy' } },
    });
  });

  test('quarantine and release act at the next request', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/a.mjs': WITH_PANEL } });
    const act = (path: string, init: RequestInit = {}): Promise<Response> =>
      admin(gateway, `/plugins/${path}`, { method: 'POST', ...init });

    assert.deepEqual(await outcome(act('a/release')), { status: 409, code: 'conflict' });
    const quarantined = await act('a/quarantine', {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ cause: 'looks odd' }),
    });
    assert.equal(quarantined.status, 200);
    const refused = await fetch(`${gateway.url}/a`);
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    assert.deepEqual(await outcome(refused), { status: 503, code: 'plugin_quarantined' });
    const { state, quarantine, reason } = await inspectPlugin(gateway, 'a');
    assert.deepEqual([state, quarantine?.cause, quarantine?.until], ['quarantined', 'looks odd', null]);
    assert.deepEqual(reason, { code: 'plugin_quarantined', message: 'looks odd' });
    const readiness = (await (await fetch(`${gateway.url}/readyz`)).json()) as {
      plugins: Record<string, unknown>;
    };
    assert.deepEqual(readiness.plugins.a, { state: 'quarantined', health: null });

    assert.equal((await act('a/release')).status, 200);
    assert.equal((await fetch(`${gateway.url}/a`)).status, 200);
    for (const action of ['release', 'quarantine', 'reload']) {
      assert.deepEqual(await outcome(act(`nobody/${action}`)), { status: 404, code: 'not_found' });
    }
    assert.deepEqual(await outcome(admin(gateway, '/plugins/nobody')), { status: 404, code: 'not_found' });
  });
});
