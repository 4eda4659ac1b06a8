import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway, tempDir } from '../support/gateway-process.ts';
import { admin, inspectPlugin, listPlugins, WITH_ADMIN } from './support.ts';

/** A plugin whose import ends when that of `other` has begun. */
const meeting = (name: string, other: string, priority: number, dir: string): Record<string, string> => ({
  [`plugins/${name}/package.json`]: JSON.stringify({
    name,
    type: 'module',
    llmrouter: {
      entry: './index.js',
      name,
      capabilities: ['ROUTES'],
      priority,
      isolation: 'process',
      permissions: { fs: { write: [dir] } },
    },
  }),
  [`plugins/${name}/index.js`]: `
    import { existsSync, writeFileSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    writeFileSync('${dir}/${name}', '');
    while (!existsSync('${dir}/${other}')) await delay(10);
    export default { startup(app) { app.get('/${name}', (_req, res) => { res.send('here'); }); } };`,
});

test('plugins in processes of their own are imported side by side, and started in their order', async (t) => {
  const dir = tempDir(t);
  const gateway = await startGateway(t, {
    env: {
      ...WITH_ADMIN,
      LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS: '10000',
      LLMROUTER_PLUGINS_PERMISSIONS: `first:write=${dir},second:write=${dir},third:write=${dir}`,
      LLMROUTER_PLUGINS_DISABLED: 'third',
    },
    files: {
      ...meeting('first', 'second', 20, dir),
      ...meeting('second', 'first', 10, dir),
      ...meeting('third', 'first', 1, dir),
    },
  });
  const started = gateway.log.filter(({ to }) => to === 'started').map(({ plugin }) => plugin);
  assert.deepEqual(started, ['second', 'first']);
  assert.deepEqual((await listPlugins(gateway)).order, ['second', 'first']);
  assert.equal((await inspectPlugin(gateway, 'third')).state, 'inactive');
  const loaded = gateway.log.filter(({ to }) => to === 'loaded').map(({ plugin }) => plugin);
  assert.deepEqual(loaded, ['first', 'second'], 'the order of discovery decides about names, not speed');
  assert.equal((await admin(gateway, '/plugins/first/reload', { method: 'POST' })).status, 200);
});
