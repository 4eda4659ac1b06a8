import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';
import { runReloads, versionedPlugin } from '../support/reload-run.ts';
import { ADMIN_KEY, metric } from './support.ts';

const RELOADS = 200;
const BROKEN = 20;

test('200 reloads under load, 20 of them broken: no answer is lost, none is of two versions', async (t) => {
  const gateway = await startGateway(t, {
    env: { LLMROUTER_ADMIN_KEY: ADMIN_KEY },
    files: versionedPlugin(1),
  });
  const { lost, mixed, ...tally } = await runReloads(
    { ...gateway, adminKey: ADMIN_KEY },
    { reloads: RELOADS, brokenEvery: RELOADS / BROKEN, clients: 64 },
  );
  assert.deepEqual({ lost, mixed }, { lost: [], mixed: [] });
  assert.deepEqual([tally.reloaded, tally.rolledBack], [RELOADS - BROKEN, BROKEN]);
  assert.ok(tally.streams > RELOADS, `${tally.streams} streams`);
  assert.equal(await metric(gateway, 'llmrouter_plugin_reloads_total', { result: 'failed' }), BROKEN);
  const failures = gateway.log.filter(
    ({ event, phase }) =>
      event === 'plugin_shutdown_failed' || (event === 'plugin_failure' && phase !== 'startup'),
  );
  assert.deepEqual(failures, []);
  assert.equal(await gateway.stop(), 0);
});

test('the same with the plugin in a process of its own', async (t) => {
  const gateway = await startGateway(t, {
    env: { LLMROUTER_ADMIN_KEY: ADMIN_KEY, LLMROUTER_PLUGINS_ISOLATION: 'process' },
    files: versionedPlugin(1),
  });
  const { lost, mixed, ...tally } = await runReloads(
    { ...gateway, adminKey: ADMIN_KEY },
    { reloads: 10, brokenEvery: 5, clients: 16 },
  );
  assert.deepEqual({ lost, mixed }, { lost: [], mixed: [] });
  assert.deepEqual([tally.reloaded, tally.rolledBack], [8, 2]);
  assert.equal(await gateway.stop(), 0);
});
