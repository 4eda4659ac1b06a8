import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { SSRFBlockedError } from '../../src/errors.ts';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { inspectPlugin, listPlugins, metric, outcome, pluginFile, tracing, WITH_ADMIN } from './support.ts';

const PROBE = pluginFile({
  metadata: {
    name: 'probe',
    capabilities: ['ROUTES'],
    settings: {
      type: 'object',
      properties: {
        keysFile: { type: 'string' },
        threshold: { type: 'number', default: 0.7 },
        fromFile: { type: 'string' },
      },
    },
  },
  startup(app, context) {
    const { settings, logger, storage, models, metrics, signal } = context;
    logger.info('Plugin starting');
    signal.addEventListener('abort', () => {
      process.getBuiltinModule('node:fs').writeFileSync('aborted', String(signal.aborted));
    });
    const hits = metrics.counter('hits', { help: 'Requests', labelNames: ['path'] });
    app.get('/probe/settings', (_req, res) => {
      hits.inc({ path: 'settings' });
      const attempts = [
        () => Object.assign(settings, { threshold: 1 }),
        () => Object.assign(context, { logger: null }),
      ];
      const thrown = attempts.map((attempt) => {
        try {
          attempt();
          return null;
        } catch (error) {
          return (error as Error).name;
        }
      });
      const { keysFile, threshold, fromFile } = settings;
      const [debug, absent] = [settings.get('debug', false), settings.get('absent', 'fallback')];
      res.json({ keysFile, threshold, fromFile, debug, absent, thrown });
    });
    app.get('/probe/log', (_req, res) => {
      logger.warn('seen', { path: '/probe/log', plugin: 'somebody-else' });
      res.json({});
    });
    app.get('/probe/storage', async (_req, res) => {
      await storage.set('key', { mine: true }, { ttlMs: 60_000 });
      res.json({ value: await storage.get('key'), keys: await storage.list(), models: models.list() });
    });
    app.get('/probe/check', async (req, res) => {
      try {
        res.json({ url: await context.validateOutboundUrl(String(req.query.url)) });
      } catch (error) {
        const { code, reason } = error as SSRFBlockedError;
        res.json({ code, reason });
      }
    });
    app.get('/probe/fetch', async (req, res) => {
      const answer = await context.fetch(String(req.query.url));
      res.send(await answer.text());
    });
  },
});

const NEIGHBOUR = pluginFile({
  metadata: { name: 'neighbour', capabilities: ['ROUTES'] },
  startup(app, { storage, settings }) {
    app.get('/neighbour', async (_req, res) => {
      res.json({ value: (await storage.get('key')) ?? null, keys: await storage.list(), settings });
    });
  },
});

describe('Plugin Context', () => {
  test('settings, logger, storage, models, metrics and signal belong to one plugin', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_DEBUG: 'true', LLMROUTER_PLUGIN_PROBE__KEYS_FILE: './keys.json' },
      files: {
        'gateway.yaml': 'plugins: { probe: { fromFile: yes-from-file, keys_file: overlaid } }',
        'plugins/probe.mjs': PROBE,
        'plugins/neighbour.mjs': NEIGHBOUR,
      },
    });
    const get = async (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
      (await fetch(gateway.url + path, { headers })).json();

    await t.test('access settings (read-only)', async () => {
      assert.deepEqual(await get('/probe/settings'), {
        keysFile: './keys.json',
        threshold: 0.7,
        fromFile: 'yes-from-file',
        debug: true,
        absent: 'fallback',
        thrown: ['TypeError', 'TypeError'],
      });
    });

    await t.test('use the provided logger: lines carry the plugin and the request', async () => {
      const starting = await gateway.logged(({ message }) => message === 'Plugin starting');
      assert.deepEqual([starting.plugin, starting.level], ['probe', 'info']);
      await get('/probe/log', { 'x-request-id': 'trace-1' });
      const { plugin, requestId, path, level } = await gateway.logged(({ message }) => message === 'seen');
      assert.deepEqual(
        { plugin, requestId, path, level },
        {
          plugin: 'probe',
          requestId: 'trace-1',
          path: '/probe/log',
          level: 'warn',
        },
      );
    });

    await t.test('storage is the own namespace, metrics are prefixed, models are listed', async () => {
      const { value, keys, models } = (await get('/probe/storage')) as Record<string, unknown>;
      assert.deepEqual([value, keys], [{ mine: true }, ['key']]);
      assert.match(JSON.stringify(models), /"echo"/);
      assert.deepEqual(await get('/neighbour'), { value: null, keys: [], settings: { debug: true } });
      assert.equal(await metric(gateway, 'llmrouter_plugin_probe_hits', { path: 'settings' }), 1);
    });

    await t.test('signal is aborted at shutdown', async () => {
      assert.equal(await gateway.stop(), 0);
      assert.equal(readFileSync(join(gateway.dir, 'aborted'), 'utf8'), 'true');
    });
  });
});

describe('SSRF Prevention', () => {
  test('validateOutboundUrl and fetch refuse what is not public', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/probe.mjs': PROBE } });
    const probe = (action: string, url: string): Promise<Response> =>
      fetch(`${gateway.url}/probe/${action}?url=${encodeURIComponent(url)}`);

    const refused = {
      'http://127.0.0.1/': 'address',
      'http://2130706433/': 'address',
      'http://[::ffff:7f00:1]/': 'address',
      'http://169.254.169.254/latest/meta-data': 'address',
      'http://10.0.0.1/': 'address',
      'http://localhost/': 'hostname',
      'http://metadata.google.internal/': 'hostname',
      'file:///etc/passwd': 'scheme',
      'http://user:pass@93.184.215.14/': 'userinfo',
      'not a url': 'invalid_url',
    };
    for (const [url, reason] of Object.entries(refused)) {
      assert.deepEqual(await (await probe('check', url)).json(), { code: 'ssrf_blocked', reason }, url);
    }
    assert.deepEqual(await (await probe('check', 'HTTP://93.184.215.14:80/a')).json(), {
      url: 'http://93.184.215.14/a',
    });
    assert.deepEqual(await outcome(probe('fetch', `${gateway.url}/healthz`)), {
      status: 403,
      code: 'ssrf_blocked',
    });
    assert.equal((await inspectPlugin(gateway, 'probe')).failures.total, 0);
  });
});

describe('Backwards Compatibility', () => {
  test('Legacy plugins without context parameter and without metadata still work, with default metadata', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: './legacy.mjs#LegacyPlugin',
        LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES',
        LLMROUTER_PLUGINS_FAILURE_MODE: 'continue',
      },
      files: {
        'legacy.mjs': `import { GatewayPlugin } from 'routeiq-gateway/plugin';
          const { appendFileSync } = process.getBuiltinModule('node:fs');
          export class LegacyPlugin extends GatewayPlugin {
            async startup(app) {
              appendFileSync('trace', '+' + arguments.length);
              app.get('/legacy', (req, res) => { res.json({ ok: true }); });
            }
            async shutdown(app) { appendFileSync('trace', '-' + typeof app.get); }
          }
          export class Other extends GatewayPlugin { startup() { throw new Error('not asked for'); } }`,
      },
    });
    assert.deepEqual(await (await fetch(`${gateway.url}/legacy`)).json(), { ok: true });
    const { name, version, capabilities, priority, failureMode, state } = await inspectPlugin(
      gateway,
      'LegacyPlugin',
    );
    assert.deepEqual(
      { name, version, capabilities, priority, failureMode, state },
      {
        name: 'LegacyPlugin',
        version: '0.0.0',
        capabilities: [],
        priority: 1000,
        failureMode: 'continue',
        state: 'started',
      },
    );
    assert.equal(await gateway.stop(), 0);
    assert.equal(readFileSync(join(gateway.dir, 'trace'), 'utf8'), '+2-function');
  });
});

describe('Troubleshooting', { concurrency: 2 }, () => {
  test('Plugin not loading: each of the three causes is told, with what to change', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: 'mypackage.module.ClassName,./denied.mjs,./greedy.mjs,mypackage.there.Missing',
        LLMROUTER_PLUGINS_ALLOWLIST: 'mypackage.module.ClassName,./greedy.mjs,mypackage.there.Missing',
        LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES',
      },
      files: {
        'denied.mjs': tracing({ name: 'denied' }),
        'greedy.mjs': tracing({ name: 'greedy', capabilities: ['MIDDLEWARE'] }),
        'mypackage/there.mjs': 'export class Present { startup() {} }',
      },
    });
    const { plugins } = await listPlugins(gateway);
    const told = plugins.map(({ specifier, state, reason }) => {
      return `${specifier} ${state} ${reason?.code}: ${reason?.message}`;
    });
    const [notFound = '', denied = '', greedy = '', missing = ''] = told;
    assert.match(notFound, /^mypackage\.module\.ClassName failed plugin_load: .*not found.*\. .+\.$/);
    assert.match(denied, /^\.\/denied\.mjs rejected plugin_not_allowlisted: .*LLMROUTER_PLUGINS_ALLOWLIST/);
    assert.match(greedy, /rejected plugin_capability_denied: .*LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES/);
    assert.match(missing, /^mypackage\.there\.Missing failed plugin_load: .*"Missing".*Present/);
    assert.equal(told.join().includes(gateway.dir), false, 'no path of this machine');
  });

  test('Plugin fails silently: LLMROUTER_PLUGINS_FAILURE_MODE=abort shows the error in full', async (t) => {
    const gateway = spawnGateway(t, {
      env: { LLMROUTER_PLUGINS_FAILURE_MODE: 'abort' },
      files: { 'plugins/a.mjs': tracing({ name: 'a' }, 'throw new Error("the database is away");') },
    });
    assert.equal(await gateway.exited, 70);
    assert.match(gateway.stderr(), /^routeiq: .*"a".*the database is away.*\n$/);
  });
});
