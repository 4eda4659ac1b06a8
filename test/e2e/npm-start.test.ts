import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/gateway-process.ts';

const ROOT = join(import.meta.dirname, '../..');

test('`npm run build` and `npm start` run the gateway from JavaScript, and a signal to npm drains it', async (t) => {
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT });
  const env = { ...process.env, PORT: '0', LLMROUTER_LOG_FORMAT: 'json', LLMROUTER_DATA_DIR: tempDir(t) };
  const npm = spawn('npm', ['start', '--silent'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => npm.kill('SIGKILL'));
  let output = '';
  const ready = Promise.withResolvers<number>();
  npm.stdout.on('data', (chunk) => {
    output += chunk;
    const port = /"event":"ready".*?"port":(\d+)/.exec(output)?.[1];
    if (port !== undefined) ready.resolve(Number(port));
  });
  const closed = once(npm, 'close');
  closed.then(() => ready.reject(new Error(`npm start ended: ${output}`)));

  const answer = await fetch(`http://127.0.0.1:${await ready.promise}/hello`);
  assert.deepEqual(await answer.json(), { message: 'Hello from my plugin!' });
  npm.kill('SIGTERM');
  const [code] = await closed;
  assert.equal(code, 0);
  assert.match(output, /"event":"stopped"/);
});
