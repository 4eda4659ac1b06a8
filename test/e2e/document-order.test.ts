import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { inspectPlugin, listPlugins, readTrace, tracing, WITH_ADMIN } from './support.ts';

describe('Plugin Metadata', () => {
  test('identity, version, capabilities, dependencies, priority, failure mode and description are what was declared', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: {
        'plugins/other.mjs': tracing({ name: 'other-plugin' }),
        'plugins/mine.mjs': tracing({
          name: 'my-plugin',
          version: '1.0.0',
          capabilities: ['ROUTES', 'MIDDLEWARE'],
          dependsOn: ['other-plugin'],
          priority: 100,
          failureMode: 'continue',
          description: 'Does something useful',
        }),
      },
    });
    const { startupMs, ...view } = await inspectPlugin(gateway, 'my-plugin');
    assert.equal(typeof startupMs, 'number');
    assert.deepEqual(view, {
      name: 'my-plugin',
      version: '1.0.0',
      description: 'Does something useful',
      specifier: 'plugins/mine.mjs',
      source: 'folder',
      capabilities: ['ROUTES', 'MIDDLEWARE'],
      dependsOn: ['other-plugin'],
      priority: 100,
      failureMode: 'continue',
      isolation: 'inline',
      state: 'started',
      reason: null,
      failures: { total: 0, recent: 0 },
      quarantine: null,
      contributes: view.contributes,
    });
    const other = await inspectPlugin(gateway, 'other-plugin');
    assert.deepEqual([other.version, other.priority, other.failureMode], ['0.0.0', 1000, 'continue']);
  });
});

describe('Dependencies', { concurrency: 2 }, () => {
  test('circular dependencies end the start with their path', async (t) => {
    const gateway = spawnGateway(t, {
      files: {
        'plugins/a.mjs': tracing({ name: 'a', dependsOn: ['b'] }),
        'plugins/b.mjs': tracing({ name: 'b', dependsOn: ['c'] }),
        'plugins/c.mjs': tracing({ name: 'c', dependsOn: ['a'] }),
        'plugins/d.mjs': tracing({ name: 'd' }),
      },
    });
    assert.equal(await gateway.exited, 78);
    assert.match(gateway.stderr(), /^routeiq: .*(a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c).*\n$/);
    assert.throws(() => readTrace(gateway), { code: 'ENOENT' });
  });

  test('a dependency that nobody provides ends the start with both names', async (t) => {
    const gateway = spawnGateway(t, {
      files: { 'plugins/a.mjs': tracing({ name: 'needy', dependsOn: ['absent'] }) },
    });
    assert.equal(await gateway.exited, 78);
    assert.match(gateway.stderr(), /^routeiq: .*"needy".*"absent".*\n$/);
  });

  test('version ranges count, optional ones may be missing, and one that did not start blocks its dependents', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_DISABLED: 'off' },
      files: {
        'plugins/a.mjs': tracing({
          name: 'a',
          dependsOn: [
            { name: 'base', version: '^2' },
            { name: 'absent', optional: true },
          ],
        }),
        'plugins/base.mjs': tracing({ name: 'base', version: '2.3.4' }),
        'plugins/broken.mjs': tracing({ name: 'broken' }, 'throw new Error("no luck");'),
        'plugins/child.mjs': tracing({ name: 'child', dependsOn: ['broken'] }),
        'plugins/grandchild.mjs': tracing({
          name: 'grandchild',
          dependsOn: ['child'],
          failureMode: 'quarantine',
        }),
        'plugins/off.mjs': tracing({ name: 'off' }),
        'plugins/of-off.mjs': tracing({ name: 'of-off', dependsOn: ['off'] }),
      },
    });
    const { plugins } = await listPlugins(gateway);
    assert.deepEqual(Object.fromEntries(plugins.map(({ name, state }) => [name, state])), {
      a: 'started',
      base: 'started',
      broken: 'failed',
      child: 'blocked',
      grandchild: 'quarantined',
      off: 'inactive',
      'of-off': 'blocked',
    });
    assert.deepEqual(readTrace(gateway), ['+base', '+a', '+broken']);
    const { reason } = await inspectPlugin(gateway, 'child');
    assert.equal(reason?.code, 'plugin_dependency');
    assert.match(reason?.message ?? '', /"broken" is failed/);
  });

  test('a dependency outside of the range is a configuration error', async (t) => {
    const gateway = spawnGateway(t, {
      files: {
        'plugins/a.mjs': tracing({ name: 'a', dependsOn: [{ name: 'base', version: '^2' }] }),
        'plugins/b.mjs': tracing({ name: 'base', version: '1.9.0' }),
      },
    });
    assert.equal(await gateway.exited, 78);
    assert.match(gateway.stderr(), /"a".*"base".*\^2.*1\.9\.0/);
  });
});

describe('Priority', () => {
  test('decides where dependencies do not, lower first; then LLMROUTER_PLUGINS in its order, then folders by name', async (t) => {
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS: './late.mjs,./env-b.mjs,./env-a.mjs' },
      files: {
        'late.mjs': tracing({ name: 'late', priority: 2000 }),
        'env-b.mjs': tracing({ name: 'env-b' }),
        'env-a.mjs': tracing({ name: 'env-a' }),
        'plugins/z/index.mjs': tracing({ name: 'early-plugin', priority: 10 }),
        'plugins/y.mjs': tracing({ name: '__proto__' }),
        'plugins/x.mjs': tracing({ name: 'constructor' }),
        'plugins/w.mjs': tracing({ name: 'urgent-but-dependent', priority: 1, dependsOn: ['late'] }),
      },
    });
    const order = [
      'early-plugin',
      'env-b',
      'env-a',
      'constructor',
      '__proto__',
      'late',
      'urgent-but-dependent',
    ];
    assert.equal(await gateway.stop(), 0);
    const stopped = order.toReversed().map((name) => `-${name}`);
    assert.deepEqual(readTrace(gateway), [...order.map((name) => `+${name}`), ...stopped]);
  });
});

describe('Load Order', () => {
  test('discovery, allowlist, capabilities, dependencies, startup in order, shutdown in reverse', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: './b.mjs,./a.mjs,./b.mjs,./denied.mjs,./greedy.mjs',
        LLMROUTER_PLUGINS_ALLOWLIST: './a.mjs,./b.mjs,./greedy.mjs,plugins/same.mjs',
        LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES',
      },
      files: {
        'a.mjs': tracing({ name: 'a', capabilities: ['ROUTES'] }),
        'b.mjs': tracing({ name: 'b', dependsOn: ['a'] }),
        'denied.mjs': tracing({ name: 'denied' }),
        'greedy.mjs': tracing({ name: 'greedy', capabilities: ['MIDDLEWARE'] }),
        'plugins/same.mjs': tracing({ name: 'a' }),
      },
    });
    const { order, plugins } = await listPlugins(gateway);
    assert.deepEqual(order, ['a', 'b']);
    assert.deepEqual(
      plugins.map(({ name, state, reason }) => [name, state, reason?.code ?? null]),
      [
        ['b', 'started', null],
        ['a', 'started', null],
        ['denied', 'rejected', 'plugin_not_allowlisted'],
        ['greedy', 'rejected', 'plugin_capability_denied'],
        ['a', 'rejected', 'plugin_load'],
      ],
    );
    assert.match(plugins.at(-1)?.reason?.message ?? '', /"\.\/a\.mjs".*"plugins\/same\.mjs"/);
    assert.equal(await gateway.stop(), 0);
    assert.deepEqual(readTrace(gateway), ['+a', '+b', '-b', '-a']);
  });
});
