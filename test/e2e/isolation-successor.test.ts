import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGateway, tempDir } from '../support/gateway-process.ts';
import { inspectPlugin, WITH_ADMIN } from './support.ts';

/** A plugin that notes each import of its code, and stands still for as long as it is told. */
const standing = (dir: string): Record<string, string> => ({
  'plugins/standing/package.json': JSON.stringify({
    name: 'standing',
    type: 'module',
    llmrouter: {
      entry: './index.js',
      capabilities: ['ROUTES'],
      isolation: 'process',
      permissions: { fs: { write: [dir] } },
    },
  }),
  'plugins/standing/index.js': `
    import { appendFileSync } from 'node:fs';
    appendFileSync('${dir}/imports', 'x');
    const self = Math.random();
    export default { startup(app) {
      app.get('/self', (_req, res) => { res.json(self); });
      app.get('/stand/:ms', (req, res) => { const until = Date.now() + Number(req.params.ms); while (Date.now() < until); res.json(self); });
    } };`,
});

test('a process that stands still has a successor before it is killed', async (t) => {
  const dir = tempDir(t, { imports: '' });
  const gateway = await startGateway(t, {
    env: {
      ...WITH_ADMIN,
      LLMROUTER_PLUGINS_PERMISSIONS: `standing:write=${dir}`,
      LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '4000',
    },
    files: standing(dir),
  });
  const imports = (): number => readFileSync(join(dir, 'imports'), 'utf8').length;
  const ask = async (path: string): Promise<unknown> => (await fetch(`${gateway.url}${path}`)).json();
  const first = await ask('/self');

  await t.test('which is not missed when it comes round', async () => {
    assert.equal(await ask('/stand/3000'), first);
    while (imports() < 2) await delay(20);
    assert.equal(await ask('/self'), first);
    assert.equal((await inspectPlugin(gateway, 'standing')).failures.total, 0);
  });

  await t.test('and takes its place when it does not', async () => {
    await ask('/stand/60000');
    const second = await ask('/self');
    assert.notEqual(second, first);
    assert.equal(imports(), 2, 'nothing had to be imported for it');
    assert.equal((await inspectPlugin(gateway, 'standing')).failures.total, 1);
  });

  assert.equal(await gateway.stop(), 0);
});
