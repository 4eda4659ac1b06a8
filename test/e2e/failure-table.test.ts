import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PluginMetadata } from '../../src/plugin-api/metadata.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { startUpstream } from '../support/upstream.ts';
import { admin, chat, failureOf, inspectPlugin, outcome, tracing, WITH_ADMIN } from './support.ts';

/** How a contribution is made to fail: `<plugin> <manner>` in the header `x-fail` or in the body's `user`. */
const MANNERS = ['throws', 'rejects', 'hangs', 'answers nonsense'] as const;

/**
 * A plugin whose contribution misbehaves on demand. `body` may call `misbehave(text)`: a value to return in its place,
 * or `undefined` when the text does not mean this plugin.
 */
const onDemand = (metadata: PluginMetadata, body: string): string => `
  function misbehave(text) {
    const [name, manner] = String(text ?? '').split('=');
    if (name !== ${JSON.stringify(metadata.name)}) return undefined;
    if (manner === 'throws') throw new Error('on demand');
    if (manner === 'rejects') return Promise.reject(new Error('on demand'));
    if (manner === 'hangs') return new Promise(() => {});
    return 42;
  }
  export default {
    metadata: ${JSON.stringify(metadata)},
    startup(app, context) { ${body} },
  };`;

const EVALUATE = '(request) => misbehave(request.body.user)';

const PLUGINS: Readonly<Record<string, string>> = {
  auth: onDemand(
    { name: 'auth', capabilities: ['AUTH_PROVIDER'] },
    `app.authProvider({ name: 'keys', authenticate: (request) => misbehave(request.get('x-fail')) ?? { id: 'somebody' } });`,
  ),
  'second-auth': onDemand(
    { name: 'second-auth', capabilities: ['AUTH_PROVIDER'], priority: 2000 },
    `app.authProvider({ name: 'lax', authenticate: () => ({ id: 'anybody' }) });`,
  ),
  middleware: onDemand(
    { name: 'middleware', capabilities: ['MIDDLEWARE'] },
    `app.use((req, res, next) => misbehave(req.get('x-fail')) ?? next());`,
  ),
  'closed-middleware': onDemand(
    { name: 'closed-middleware', capabilities: ['MIDDLEWARE'], failClosed: true },
    `app.use((req, res, next) => misbehave(req.get('x-fail')) ?? next());`,
  ),
  hooks: onDemand(
    { name: 'hooks', capabilities: ['MIDDLEWARE'] },
    `app.llm({ onRequest: ${EVALUATE}, onResponse: ${EVALUATE} });`,
  ),
  'closed-hooks': onDemand(
    { name: 'closed-hooks', capabilities: ['MIDDLEWARE'], failClosed: true },
    `app.llm({ onRequest: ${EVALUATE} });`,
  ),
  guard: onDemand(
    { name: 'guard', capabilities: ['EVALUATOR'] },
    `app.evaluator({ name: 'guard', mode: 'block', input: ${EVALUATE} });`,
  ),
  'output-guard': onDemand(
    { name: 'output-guard', capabilities: ['EVALUATOR'] },
    `app.evaluator({ name: 'output-guard', mode: 'block', output: ${EVALUATE} });`,
  ),
  'open-guard': onDemand(
    { name: 'open-guard', capabilities: ['EVALUATOR'], failOpen: true },
    `app.evaluator({ name: 'open-guard', mode: 'block', input: ${EVALUATE} });`,
  ),
  observer: onDemand(
    { name: 'observer', capabilities: ['EVALUATOR'] },
    `app.evaluator({ name: 'observer', mode: 'observe', input: ${EVALUATE}, output: ${EVALUATE} });`,
  ),
  strategy: onDemand(
    { name: 'strategy', capabilities: ['ROUTING_STRATEGY'] },
    `app.routingStrategy('last', { select: (request, candidates) => misbehave(request.body.user) ?? candidates.at(-1) });`,
  ),
  exporter: onDemand(
    { name: 'exporter', capabilities: ['OBSERVABILITY_EXPORTER'] },
    `app.exporter({ name: 'exporter', export: (batch) => misbehave(batch.map(({ model }) => model).includes('unexportable') ? 'exporter=throws' : '') });`,
  ),
};

/** What a chat request gets when one call of a plugin fails, and while the plugin is quarantined. */
const TABLE: Readonly<Record<string, { status: number; code?: string; nonsense?: boolean }>> = {
  auth: { status: 503, code: 'auth_unavailable' },
  middleware: { status: 200, nonsense: false },
  'closed-middleware': { status: 503, nonsense: false },
  hooks: { status: 200 },
  'closed-hooks': { status: 503 },
  guard: { status: 503, code: 'evaluator_unavailable' },
  'output-guard': { status: 503, code: 'evaluator_unavailable' },
  'open-guard': { status: 200 },
  observer: { status: 200 },
  strategy: { status: 200 },
};

const act = async (gateway: GatewayProcess, name: string, action: string): Promise<void> => {
  const response = await admin(gateway, `/plugins/${name}/${action}`, { method: 'POST' });
  assert.equal(response.status, 200, await response.text());
};

const files = (sources: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(sources).map(([name, source]) => [`plugins/${name}.mjs`, source]));

const ENV = {
  ...WITH_ADMIN,
  LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '300',
  LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1000',
};

describe('what fails open and what fails closed', { concurrency: 2 }, () => {
  test('on POST /v1/chat/completions', async (t) => {
    const upstream = await startUpstream();
    t.after(() => upstream.close());
    const deployment = (weight: number): string =>
      `  - { model_name: gpt, litellm_params: { model: openai/gpt-4o, api_key: k, api_base: '${upstream.url}', weight: ${weight} } }\n`;
    const gateway = await startGateway(t, {
      env: ENV,
      files: {
        ...files(PLUGINS),
        'gateway.yaml': `model_list:\n${deployment(1)}${deployment(1)}router_settings: { routing_strategy: last }\n`,
      },
    });
    const ask = (name: string, manner = ''): Promise<Response> => {
      const fail = `${name}=${manner}`;
      return chat(gateway, { model: 'gpt', user: fail, headers: { 'x-fail': fail } });
    };
    const ordinary = await ask('nobody');
    assert.equal(ordinary.status, 200, await ordinary.text());
    assert.equal(ordinary.headers.get('x-llmrouter-deployment'), 'gpt/1', 'the strategy decides');

    for (const [name, { status, code, nonsense = true }] of Object.entries(TABLE)) {
      await t.test(name, async () => {
        const expected = (response: Response, body: { error?: { code: unknown } }): void => {
          assert.equal(response.status, status);
          if (code !== undefined) assert.equal(body.error?.code, code);
          if (status === 200) assert.equal(body.error, undefined);
          else assert.ok(body.error?.code);
        };
        let failures = 0;
        for (const manner of MANNERS.filter((each) => nonsense || each !== 'answers nonsense')) {
          const asked = upstream.requests.length;
          const response = await ask(name, manner.replace('answers ', ''));
          expected(response, (await response.json()) as { error?: { code: unknown } });
          if (status !== 200 && name !== 'output-guard')
            assert.equal(upstream.requests.length, asked, 'nothing leaves');
          failures += 1;
          await gateway.logged(failureOf(name));
          const { failures: counted } = await inspectPlugin(gateway, name);
          assert.ok(counted.total >= failures, `${manner} is counted`);
        }
        await act(gateway, name, 'quarantine');
        const response = await ask('nobody');
        expected(response, (await response.json()) as { error?: { code: unknown } });
        await act(gateway, name, 'release');
        assert.equal((await ask('nobody')).status, 200);
      });
    }

    await t.test('exporter', async () => {
      assert.deepEqual(await outcome(chat(gateway, { model: 'unexportable' })), {
        status: 404,
        code: 'model_not_found',
      });
      await gateway.logged(failureOf('exporter'));
      await act(gateway, 'exporter', 'quarantine');
      assert.equal((await ask('nobody')).status, 200);
    });
    assert.equal(await gateway.stop(), 0);
  });

  test('of storage, tools and routes, as other plugins see it', async (t) => {
    const gateway = await startGateway(t, {
      env: ENV,
      files: files({
        store: onDemand(
          { name: 'store', capabilities: ['STORAGE_BACKEND'] },
          `const nothing = () => undefined;
           app.storageBackend({ get: (key) => misbehave(key.split(':').at(-1)) ?? 'from the backend',
             set: nothing, delete: () => true, increment: () => 1, compareAndSet: () => true, list: () => [] });`,
        ),
        tools: onDemand(
          { name: 'tools', capabilities: ['TOOL_RUNTIME'] },
          `app.toolRuntime({
             listTools: () => [{ name: 'now', inputSchema: { type: 'object' } }],
             callTool: (name, { fail }) => misbehave(fail) ?? { content: [{ type: 'text', text: 'noon' }] } });`,
        ),
        user: onDemand(
          { name: 'user', capabilities: ['ROUTES'] },
          `app.get('/user/storage', async (req, res) => {
             try { res.json({ value: await context.storage.get(req.query.fail ?? 'key') }); }
             catch (error) { res.json({ code: error.code }); }
           });
           app.get('/user/storage/uncaught', async (req, res) => { res.json(await context.storage.get('key')); });
           app.get('/user/tools', async (req, res) => {
             const call = await context.tools.call('now', { fail: req.query.fail });
             res.json({ names: (await context.tools.list()).map(({ name }) => name), ...call });
           });`,
        ),
      }),
    });
    const get = async (path: string): Promise<unknown> => (await fetch(gateway.url + path)).json();
    const manners = ['throws', 'rejects', 'hangs'];

    await t.test('storage backend: storage_unavailable, never another store', async () => {
      assert.deepEqual(await get('/user/storage'), { value: 'from the backend' });
      for (const manner of manners) {
        assert.deepEqual(await get(`/user/storage?fail=store=${manner}`), { code: 'storage_unavailable' });
      }
      assert.equal((await inspectPlugin(gateway, 'store')).failures.total, manners.length);
      await act(gateway, 'store', 'quarantine');
      assert.deepEqual(await get('/user/storage'), { code: 'storage_unavailable' });
      assert.deepEqual(await outcome(fetch(`${gateway.url}/user/storage/uncaught`)), {
        status: 503,
        code: 'storage_unavailable',
      });
      await act(gateway, 'store', 'release');
      assert.deepEqual(await get('/user/storage'), { value: 'from the backend' });
    });

    await t.test('tool runtime: a tool error; quarantined, its tools leave the list', async () => {
      const noon = { names: ['now'], content: [{ type: 'text', text: 'noon' }] };
      assert.deepEqual(await get('/user/tools'), noon);
      for (const manner of [...manners, 'nonsense']) {
        const { names, isError } = (await get(`/user/tools?fail=tools=${manner}`)) as Record<string, unknown>;
        assert.deepEqual([names, isError], [['now'], true], manner);
      }
      assert.equal((await inspectPlugin(gateway, 'tools')).failures.total, 4);
      await act(gateway, 'tools', 'quarantine');
      const { names, isError } = (await get('/user/tools')) as Record<string, unknown>;
      assert.deepEqual([names, isError], [[], true]);
      await act(gateway, 'tools', 'release');
      assert.deepEqual(await get('/user/tools'), noon);
    });
    assert.equal((await inspectPlugin(gateway, 'user')).failures.total, 0, 'the user is not to blame');
  });

  test('an auth provider that could not start, or not even load, lets nobody in', async (t) => {
    const metadata = { name: 'auth', capabilities: ['AUTH_PROVIDER'] } as const;
    const manifest = { name: 'auth', type: 'module', llmrouter: { entry: './index.js', ...metadata } };
    const sources = [tracing(metadata, 'throw new Error("no keys");'), 'import "./missing.js";'];
    for (const failureMode of ['continue', 'quarantine']) {
      for (const source of sources) {
        const gateway = await startGateway(t, {
          env: { LLMROUTER_PLUGINS_FAILURE_MODE: failureMode },
          files: { 'plugins/auth/package.json': JSON.stringify(manifest), 'plugins/auth/index.js': source },
        });
        assert.deepEqual(await outcome(chat(gateway)), { status: 503, code: 'auth_unavailable' });
        assert.equal((await fetch(`${gateway.url}/healthz`)).status, 200);
      }
    }
  });
});
