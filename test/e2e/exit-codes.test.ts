import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { chat, pluginFile, readTrace, tracing } from './support.ts';

describe('exit code 78', { concurrency: 2 }, () => {
  test('all bad variables and settings of the file are told in one run, one line each', async (t) => {
    const gateway = spawnGateway(t, {
      env: {
        PORT: 'eighty',
        LLMROUTER_PLUGINS_FAILURE_MODE: 'explode',
        LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '-1',
        LLMROUTER_WORKERS: '0',
        LLMROUTER_DEBUG: 'perhaps',
        LLMROUTER_LOG_FORMAT: 'xml',
        LLMROUTER_ADMIN_KEY: 'hunter2\nhunter3',
      },
      files: { 'gateway.yaml': 'model_list: 5\n' },
    });
    assert.equal(await gateway.exited, 78);
    const lines = gateway.stderr().trimEnd().split('\n');
    const named = (name: string, ...seen: string[]): void => {
      const line = lines.find((text) => text.includes(name));
      assert.ok(line, `${name} in ${gateway.stderr()}`);
      for (const text of ['routeiq: ', 'expected', ...seen])
        assert.ok(line.includes(text), `${text} in ${line}`);
    };
    named('PORT', 'eighty');
    named('LLMROUTER_PLUGINS_FAILURE_MODE', 'explode', 'continue', 'abort', 'quarantine');
    named('LLMROUTER_PLUGINS_CALL_TIMEOUT_MS', '-1');
    named('LLMROUTER_WORKERS', '0');
    named('LLMROUTER_DEBUG', 'perhaps');
    named('LLMROUTER_LOG_FORMAT', 'xml', 'json', 'pretty');
    named('model_list', '5');
    assert.equal(/hunter/.test(gateway.stderr()), false, 'no secrets');
  });

  test('a configuration file that is no YAML, or is not there, is named', async (t) => {
    const broken = spawnGateway(t, { files: { 'gateway.yaml': 'model_list: [\n  - : :' } });
    assert.equal(await broken.exited, 78);
    assert.match(broken.stderr(), /^routeiq: .*gateway\.yaml.*\n/);
    const absent = spawnGateway(t, { env: { LLMROUTER_CONFIG: 'elsewhere.yaml' } });
    assert.equal(await absent.exited, 78);
    assert.match(absent.stderr(), /^routeiq: .*LLMROUTER_CONFIG.*elsewhere\.yaml.*\n$/);
  });

  test('a port that is taken is named, and no plugin has been touched', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const gateway = spawnGateway(t, {
      env: { PORT: String(port) },
      files: { 'plugins/a.mjs': tracing({ name: 'a' }) },
    });
    assert.equal(await gateway.exited, 78);
    assert.match(gateway.stderr(), new RegExp(`^routeiq: PORT.*${port}.*expected.*\\n$`));
    assert.throws(() => readTrace(gateway), { code: 'ENOENT' });
  });

  test('a data folder that cannot be used is named', async (t) => {
    const gateway = spawnGateway(t, { env: { LLMROUTER_DATA_DIR: 'taken' }, files: { taken: 'a file' } });
    assert.equal(await gateway.exited, 78);
    assert.match(gateway.stderr(), /^routeiq: LLMROUTER_DATA_DIR: .*taken.*expected.*\n$/);
  });

  test('settings that do not fit their schema fail the plugin, not the gateway; with abort they end it', async (t) => {
    const plugin = (failureMode: 'continue' | 'abort'): string =>
      pluginFile({
        metadata: {
          name: 'guard',
          failureMode,
          settings: { type: 'object', properties: { threshold: { type: 'number' } } },
        },
        startup() {},
      });
    const env = { LLMROUTER_PLUGIN_GUARD__THRESHOLD: 'high' };
    const gateway = await startGateway(t, { env, files: { 'plugins/guard.mjs': plugin('continue') } });
    const line = await gateway.logged(({ plugin, to }) => plugin === 'guard' && to === 'failed');
    assert.equal(line.code, 'config_invalid');
    assert.match(String(line.cause), /guard.*LLMROUTER_PLUGIN_GUARD__THRESHOLD.*high/);
    const aborted = spawnGateway(t, { env, files: { 'plugins/guard.mjs': plugin('abort') } });
    assert.equal(await aborted.exited, 70);
  });
});

describe('exit code 70', () => {
  test('a plugin of mode abort that trips at run time: running answers finish, the plugins are stopped, then 70', async (t) => {
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '2' },
      files: {
        'plugins/a.mjs': tracing({ name: 'a' }),
        'plugins/critical.mjs': tracing(
          { name: 'critical', capabilities: ['ROUTES'], failureMode: 'abort' },
          `app.get('/fail', () => { throw new Error('broken'); });
           app.post('/slow', (req, res) => {
             res.write('begun, ');
             req.resume().on('end', () => res.end('done'));
           });`,
        ),
      },
    });
    const slow = request(`${gateway.url}/slow`, { method: 'POST' });
    slow.write('x');
    const [answer] = (await once(slow, 'response')) as [IncomingMessage];
    for (let i = 0; i < 2; i++) assert.equal((await fetch(`${gateway.url}/fail`)).status, 500);
    await gateway.logged(({ event }) => event === 'draining');
    slow.end();
    assert.equal(await text(answer), 'begun, done');
    assert.equal(await gateway.exited, 70);
    assert.match(gateway.stderr(), /^routeiq: .*"critical".*broken.*\n$/);
    assert.deepEqual(readTrace(gateway), ['+a', '+critical', '-critical', '-a']);
  });
});

describe('exit code 0', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal} stops the gateway, also when it comes twice`, async (t) => {
      const gateway = await startGateway(t, { files: { 'plugins/a.mjs': tracing({ name: 'a' }) } });
      assert.equal((await chat(gateway)).status, 200);
      gateway.kill(signal);
      gateway.kill(signal);
      assert.equal(await gateway.exited, 0);
      assert.equal(gateway.stderr(), '');
      assert.deepEqual(readTrace(gateway), ['+a', '-a']);
    });
  }

  test('a signal that comes while plugins start stops those that have started', async (t) => {
    const gateway = spawnGateway(t, {
      files: {
        'plugins/a.mjs': tracing({ name: 'a' }),
        'plugins/b.mjs': tracing(
          { name: 'b' },
          'context.logger.info("hanging"); await new Promise(() => {});',
        ),
        'plugins/c.mjs': tracing({ name: 'c' }),
      },
    });
    await gateway.logged(({ message }) => message === 'hanging');
    assert.equal(await gateway.stop(), 0);
    assert.deepEqual(readTrace(gateway), ['+a', '+b', '-a']);
  });
});

describe('exit code 1', () => {
  for (const [what, code] of [
    ['an exception', 'process.on("SIGUSR2", () => { throw new Error("of nobody"); });'],
    ['a rejection', 'process.on("SIGUSR2", () => { Promise.reject(new Error("of nobody")); });'],
  ] as const) {
    test(`${what} that nobody can be blamed for drains the gateway and stops the plugins`, async (t) => {
      const preload = `data:text/javascript,${encodeURIComponent(code)}`;
      const gateway = await startGateway(t, {
        env: { NODE_OPTIONS: `--import=${preload}` },
        files: { 'plugins/a.mjs': tracing({ name: 'a' }) },
      });
      gateway.kill('SIGUSR2');
      assert.equal(await gateway.exited, 1);
      assert.match(gateway.stderr(), /^routeiq: .*of nobody.*\n$/);
      assert.deepEqual(readTrace(gateway), ['+a', '-a']);
    });
  }

  test('an unknown command tells the usage', async (t) => {
    const gateway = spawnGateway(t, { args: ['plugins', 'dance'] });
    assert.equal(await gateway.exited, 1);
    assert.match(gateway.stderr(), /^routeiq: unknown command "plugins dance"\n\nUsage: routeiq/);
  });
});
