import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GatewayProcess, startGateway, writeFiles } from '../support/gateway-process.ts';
import { admin, inspectPlugin, metric, outcome, WITH_ADMIN } from './support.ts';

const env = { ...WITH_ADMIN, LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '3' };

function plugin(version: string, fail: string, startup = ''): Record<string, string> {
  return {
    'plugins/p.mjs': `
      import { existsSync } from 'node:fs';
      export default {
        metadata: { name: 'p', version: '${version}', capabilities: ['ROUTES'] },
        startup(app) {
          ${startup}
          app.get('/p', (_req, res) => { res.send('${version}'); });
          app.get('/p/fail', () => { ${fail} });
        },
      };`,
  };
}

async function reload(gateway: GatewayProcess): Promise<void> {
  const answer = await admin(gateway, '/plugins/reload', { method: 'POST' });
  assert.equal(answer.status, 200, await answer.text());
}

describe('a new version on probation', () => {
  test('in a process of its own gives way when that process keeps ending', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...env, LLMROUTER_PLUGINS_ISOLATION: 'process' },
      files: plugin('1.0.0', 'process.exit(3);'),
    });
    writeFiles(gateway.dir, plugin('2.0.0', 'process.exit(4);'));
    await reload(gateway);
    const back = gateway.logged(({ event }) => event === 'plugin_rolled_back');
    let isBack = false;
    void back.then(() => {
      isBack = true;
    });
    while (!isBack) await (await fetch(`${gateway.url}/p/fail`)).text();
    assert.equal(await (await fetch(`${gateway.url}/p`)).text(), '1.0.0');
    const { version, state } = await inspectPlugin(gateway, 'p');
    assert.deepEqual([version, state], ['1.0.0', 'started']);
    assert.equal((await back).level, 'error');
  });

  test('falls back on its failure mode when the version before it cannot start any more', async (t) => {
    const startup = "if (existsSync('gone')) throw new Error('its database is gone');";
    const gateway = await startGateway(t, { env, files: plugin('1.0.0', '', startup) });
    writeFiles(gateway.dir, { ...plugin('2.0.0', 'throw new Error("as asked");'), gone: '' });
    await reload(gateway);
    for (let i = 0; i < 3; i++) await (await fetch(`${gateway.url}/p/fail`)).text();
    const line = await gateway.logged(({ event }) => event === 'plugin_rollback_failed');
    assert.equal(line.level, 'error');
    assert.match(JSON.stringify(line.error), /its database is gone/);
    assert.deepEqual(await outcome(fetch(`${gateway.url}/p`)), { status: 503, code: 'plugin_quarantined' });
    assert.equal((await inspectPlugin(gateway, 'p')).version, '2.0.0');
    assert.equal(await metric(gateway, 'llmrouter_plugin_rollbacks_total', { plugin: 'p' }), 0);
  });
});
