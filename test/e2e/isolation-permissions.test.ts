import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startGateway, tempDir } from '../support/gateway-process.ts';
import { inspectPlugin, WITH_ADMIN } from './support.ts';

const SOURCE = `
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
const attempt = async (run) => { try { return await run(); } catch ({ code }) { return code; } };
export default { startup(app) {
  app.get('/needs', async (req, res) => {
    const { dir, port } = req.query;
    res.json({
      read: await attempt(() => readFileSync(dir + '/in/key', 'utf8')),
      beside: await attempt(() => readFileSync(dir + '/other', 'utf8')),
      write: await attempt(() => writeFileSync(dir + '/out/file', 'written')),
      net: await attempt(async () => { const socket = connect(port, '127.0.0.1'); await once(socket, 'connect'); socket.destroy(); return 'connected'; }),
    });
  });
} };`;

const manifest = (permissions: object): string =>
  JSON.stringify({
    name: 'needy',
    type: 'module',
    llmrouter: { entry: './index.js', capabilities: ['ROUTES'], isolation: 'process', permissions },
  });

const files = (permissions: object): Record<string, string> => ({
  'plugins/needy/package.json': manifest(permissions),
  'plugins/needy/index.js': SOURCE,
});

test('what the manifest asks for and the operator grants is given, and nothing else', async (t) => {
  const dir = tempDir(t, { 'in/key': 'a key', other: 'not this', 'out/.keep': '' });
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const gateway = await startGateway(t, {
    env: {
      ...WITH_ADMIN,
      LLMROUTER_PLUGINS_PERMISSIONS: `needy:net,needy:read=${dir}/in,needy:write=${dir}/out`,
    },
    files: files({ net: ['127.0.0.1'], fs: { read: ['*'], write: [`${dir}/out`] } }),
  });
  const answer = await fetch(`${gateway.url}/needs?dir=${dir}&port=${port}`);
  assert.deepEqual(await answer.json(), { read: 'a key', beside: 'ERR_ACCESS_DENIED', net: 'connected' });
  assert.equal(readFileSync(join(dir, 'out/file'), 'utf8'), 'written');
});

test('what the operator grants and the manifest does not ask for is not given', async (t) => {
  const dir = tempDir(t, { 'in/key': 'a key', other: '', 'out/.keep': '' });
  const gateway = await startGateway(t, {
    env: { LLMROUTER_PLUGINS_PERMISSIONS: `needy:net,needy:read=${dir},needy:write=${dir}` },
    files: files({}),
  });
  const denied = 'ERR_ACCESS_DENIED';
  const answer = await fetch(`${gateway.url}/needs?dir=${dir}&port=1`);
  assert.deepEqual(await answer.json(), { read: denied, beside: denied, write: denied, net: denied });
  assert.equal(existsSync(join(dir, 'out/file')), false);
});

test('what the operator does not grant keeps the plugin out, and the reason says what to add', async (t) => {
  const gateway = await startGateway(t, {
    env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_PERMISSIONS: 'other:net,needy:read=/etc/keys-too' },
    files: files({ net: ['redis.internal'], fs: { read: ['/etc/keys'] } }),
  });
  const { state, reason, isolation } = await inspectPlugin(gateway, 'needy');
  assert.deepEqual([state, reason?.code, isolation], ['rejected', 'plugin_security', 'process']);
  assert.match(reason?.message ?? '', /the network \(redis\.internal\), \/etc\/keys;/);
  assert.match(reason?.message ?? '', /add needy:net,needy:read=\/etc\/keys to/);
});
