import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { inspectPlugin, readTrace, tracing, WITH_ADMIN } from './support.ts';

/** Ways not to start, and the code that tells of each. */
const MISHAPS = {
  throws: {
    body: 'app.get("/bad", (req, res) => res.end("x")); throw new Error("no luck");',
    code: 'plugin_error',
  },
  hangs: {
    body: 'app.get("/bad", (req, res) => res.end("x")); await new Promise(() => {});',
    code: 'plugin_timeout',
  },
  'cannot load': { body: null, code: 'plugin_load' },
} as const;

const filesFor = (mode: string, body: string | null): Record<string, string> => {
  const metadata = { name: 'bad', capabilities: ['ROUTES'], failureMode: mode, priority: 100 } as Parameters<
    typeof tracing
  >[0];
  const manifest = { entry: './index.js', ...metadata };
  return {
    'plugins/first.mjs': tracing({ name: 'first', priority: 1 }),
    'plugins/second.mjs': tracing({ name: 'second', priority: 2 }),
    'plugins/bad/package.json': JSON.stringify({ name: 'bad', type: 'module', llmrouter: manifest }),
    'plugins/bad/index.js': body === null ? 'import "./missing.js";' : tracing(metadata, body),
    'plugins/last.mjs': tracing({ name: 'last' }),
  };
};

const ENV = { ...WITH_ADMIN, LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS: '1000' };

describe('Failure Modes', { concurrency: 2 }, () => {
  for (const [mishap, { body, code }] of Object.entries(MISHAPS)) {
    test(`continue: a plugin that ${mishap} is logged and failed, the others go on`, async (t) => {
      const gateway = await startGateway(t, { env: ENV, files: filesFor('continue', body) });
      const { state, reason, contributes } = await inspectPlugin(gateway, 'bad');
      assert.deepEqual([state, reason?.code, contributes.routes], ['failed', code, []]);
      await gateway.logged((line) => line.plugin === 'bad' && line.to === 'failed' && line.code === code);
      assert.equal((await fetch(`${gateway.url}/bad`)).status, 404);
      assert.equal((await inspectPlugin(gateway, 'last')).state, 'started');
      assert.equal(await gateway.stop(), 0);
      assert.deepEqual(
        readTrace(gateway).filter((line) => !line.endsWith('bad')),
        ['+first', '+second', '+last', '-last', '-second', '-first'],
      );
      assert.equal(readTrace(gateway).includes('-bad'), false);
    });

    test(`quarantine: a plugin that ${mishap} is quarantined, the others go on`, async (t) => {
      const gateway = await startGateway(t, { env: ENV, files: filesFor('quarantine', body) });
      const { state, reason, quarantine } = await inspectPlugin(gateway, 'bad');
      assert.deepEqual([state, reason?.code, quarantine?.until], ['quarantined', code, null]);
      assert.equal((await inspectPlugin(gateway, 'last')).state, 'started');
      assert.equal(await gateway.stop(), 0);
      assert.equal(readTrace(gateway).includes('-bad'), false);
    });

    test(`abort: a plugin that ${mishap} ends the start with 70, those started before it are stopped in reverse`, async (t) => {
      const gateway = spawnGateway(t, { env: ENV, files: filesFor('abort', body) });
      assert.equal(await gateway.exited, 70);
      assert.match(gateway.stderr(), /^routeiq: .*"bad".*\n$/);
      const expected = mishap === 'cannot load' ? [] : ['+first', '+second', '+bad', '-second', '-first'];
      assert.deepEqual(expected.length === 0 ? [] : readTrace(gateway), expected);
    });
  }

  test('the global default applies to plugins that declare none', async (t) => {
    const files = {
      'plugins/a.mjs': tracing({ name: 'a' }),
      'plugins/b.mjs': tracing({ name: 'b' }, 'throw 1;'),
    };
    const gateway = spawnGateway(t, { env: { LLMROUTER_PLUGINS_FAILURE_MODE: 'abort' }, files });
    assert.equal(await gateway.exited, 70);
    assert.deepEqual(readTrace(gateway), ['+a', '+b', '-a']);
  });

  test('failures at shutdown are logged, and no other shutdown is skipped', async (t) => {
    const broken = (name: string, body: string): string =>
      tracing({ name }).replace(/async shutdown\(\) \{(.*)\}/, `async shutdown() {$1 ${body} }`);
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS_SHUTDOWN_TIMEOUT_MS: '200' },
      files: {
        'plugins/a.mjs': tracing({ name: 'a' }),
        'plugins/b.mjs': broken('b', 'throw new Error("cannot stop");'),
        'plugins/c.mjs': broken('c', 'await new Promise(() => {});'),
        'plugins/d.mjs': tracing({ name: 'd' }),
      },
    });
    assert.equal(await gateway.stop(), 0);
    assert.deepEqual(readTrace(gateway), ['+a', '+b', '+c', '+d', '-d', '-c', '-b', '-a']);
    const failed = gateway.log
      .filter(({ event }) => event === 'plugin_shutdown_failed')
      .map(({ plugin }) => plugin);
    assert.deepEqual(failed, ['c', 'b']);
  });
});
