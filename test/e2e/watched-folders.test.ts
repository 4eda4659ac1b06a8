import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FolderWatcher } from '../../src/composition/folder-watcher.ts';
import { startGateway, tempDir, writeFiles } from '../support/gateway-process.ts';
import { listPlugins, WITH_ADMIN } from './support.ts';

function simple(name: string, startup = ''): string {
  return `export default {
    metadata: { name: '${name}', version: '1.0.0', capabilities: ['ROUTES'] },
    startup(app) { ${startup} app.get('/${name}', (_req, res) => { res.send('${name}'); }); },
  };`;
}

describe('a watched folder', () => {
  test('is found when it appears, of which the system gives no notice', async (t) => {
    const cwd = tempDir(t);
    const seen: string[][] = [];
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const watcher = new FolderWatcher({
      dirs: ['plugins'],
      cwd,
      pollMs: 10,
      settleMs: 10,
      async onChange(specifiers) {
        seen.push([...specifiers]);
        resolve();
      },
      onFailure: (error) => assert.fail(String(error)),
    });
    t.after(() => watcher.stop());
    await watcher.prepare();
    // There is nothing to listen to at this moment, as on a bind mount there never is.
    watcher.start();
    const hold = setInterval(() => undefined, 1000);
    t.after(() => clearInterval(hold));
    writeFiles(cwd, { 'plugins/a/index.js': 'export {};' });
    await settled;
    assert.deepEqual(seen, [['plugins/a']]);
  });

  test('is acted upon once its files rest, and not in the middle of a copy', async (t) => {
    const cwd = tempDir(t, { 'plugins/a/index.js': '// ' });
    const file = join(cwd, 'plugins/a/index.js');
    const found: string[] = [];
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const watcher = new FolderWatcher({
      dirs: ['plugins'],
      cwd,
      pollMs: 10,
      settleMs: 1000,
      async onChange() {
        found.push(readFileSync(file, 'utf8'));
        resolve();
      },
      onFailure: (error) => assert.fail(String(error)),
    });
    t.after(() => watcher.stop());
    await watcher.prepare();
    watcher.start();
    for (let i = 0; i < 40; i++) {
      appendFileSync(file, 'x');
      await delay(10);
    }
    const hold = setInterval(() => undefined, 1000);
    t.after(() => clearInterval(hold));
    await settled;
    assert.deepEqual(found, [`// ${'x'.repeat(40)}`]);
  });

  test('may hold a broken plugin that has just appeared: it is named in the log, and loaded once it is mended', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_WATCH: 'true' },
      files: { 'plugins/a.mjs': simple('a') },
    });
    writeFileSync(join(gateway.dir, 'plugins/b.mjs'), simple('b', 'throw new Error("no database");'));
    const line = await gateway.logged(({ event }) => event === 'plugin_reload_failed');
    assert.match(JSON.stringify(line.error), /\\"b\\".*no database/);
    assert.equal(await (await fetch(`${gateway.url}/a`)).text(), 'a');
    assert.deepEqual((await listPlugins(gateway)).order, ['a']);
    writeFileSync(join(gateway.dir, 'plugins/b.mjs'), simple('b'));
    await gateway.logged(({ event }) => event === 'plugins_reloaded');
    assert.equal(await (await fetch(`${gateway.url}/b`)).text(), 'b');
  });

  test('may vanish as a whole and come back', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_WATCH: 'true' },
      files: { 'plugins/a.mjs': simple('a') },
    });
    const swaps = () => gateway.log.filter(({ event }) => event === 'plugins_reloaded').length;
    rmSync(join(gateway.dir, 'plugins'), { recursive: true });
    await gateway.logged(() => swaps() === 1);
    assert.equal((await fetch(`${gateway.url}/a`)).status, 404);
    mkdirSync(join(gateway.dir, 'plugins'));
    writeFileSync(join(gateway.dir, 'plugins/a.mjs'), simple('a'));
    await gateway.logged(() => swaps() === 2);
    assert.equal(await (await fetch(`${gateway.url}/a`)).text(), 'a');
  });
});
