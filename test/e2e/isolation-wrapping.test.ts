import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startGateway, tempDir } from '../support/gateway-process.ts';
import { chat, failureOf, outcome } from './support.ts';

const wrapping = (metadata: object): string =>
  `import compression from 'compression';
   export default { metadata: ${JSON.stringify({ name: 'wrapping', capabilities: ['MIDDLEWARE'], ...metadata })},
     startup(app) { app.use(compression({ threshold: 0 })); } };`;

/** A folder in which npm's packages are found. */
function withPackages(t: Parameters<typeof tempDir>[0], source: string): string {
  const dir = tempDir(t, { 'plugins/wrapping.mjs': source });
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(dir, 'node_modules'));
  return dir;
}

test('middleware that wraps the answers of others does not half-work in a process of its own', async (t) => {
  const env = { LLMROUTER_PLUGINS_ISOLATION: 'process' };
  const open = await startGateway(t, { env, dir: withPackages(t, wrapping({})) });
  assert.equal((await chat(open)).status, 200, 'the request goes on without it');
  const { error } = await open.logged(failureOf('wrapping'));
  assert.match(
    (error as { message: string }).message,
    /replaces res\.\w+\(\) and hands on.*run the plugin inline/,
  );

  const closed = await startGateway(t, { env, dir: withPackages(t, wrapping({ failClosed: true })) });
  assert.deepEqual(await outcome(chat(closed)), { status: 503, code: 'plugin_error' });
});
