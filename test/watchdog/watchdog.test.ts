import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/gateway-process.ts';

const HOST = join(import.meta.dirname, 'fixtures/own-stall.ts');

test('a stall of the gateway itself is blamed on nobody, and ends the process all the same', async (t) => {
  const dir = tempDir(t);
  const child = spawn(process.execPath, ['--conditions=routeiq-source', HOST, dir], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
  const [file = '', ...others] = readdirSync(dir);
  assert.deepEqual(others, []);
  const tombstone = JSON.parse(readFileSync(join(dir, file), 'utf8')) as Record<string, unknown>;
  assert.deepEqual([tombstone.plugin, tombstone.phase, tombstone.requestId], [null, null, null]);
  assert.match(String(tombstone.place), /own-stall\.ts:\d+:\d+ \(ownLoop\)$/);
});
