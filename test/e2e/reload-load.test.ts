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
