// usage: node bench/start.ts [starts, default 10] [inline | process, default inline]
// From the process's start to the first 200 of /readyz, with ten ordinary plugins.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from './cells.ts';
import { SYSTEMS } from './systems.ts';

const PORT = 9450;
const [, , starts = '10', tier = 'inline'] = process.argv;
const tmp = mkdtempSync(join(tmpdir(), 'routeiq-start-'));
const times: number[] = [];
try {
  for (let n = 0; n < Number(starts); n++) times.push(await startOnce());
} finally {
  rmSync(tmp, { recursive: true, force: true });
}
console.log(
  `ready after ${quantile(times, 0.5).toFixed(0)} ms (median of ${times.length}; ${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)})`,
);

async function startOnce(): Promise<number> {
  const place = { port: PORT, upstream: 'http://127.0.0.1:9', tmp };
  const { flags = [], args, cwd, env } = SYSTEMS.plugins.start(place);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...flags, ...args], {
    cwd,
    env: { ...process.env, NODE_ENV: 'production', LLMROUTER_PLUGINS_ISOLATION: tier, ...env },
    stdio: 'ignore',
  });
  while (!(await isReady()) && child.exitCode === null) await sleep(5);
  const took = performance.now() - startedAt;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  return took;
}

async function isReady(): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${PORT}/readyz`);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
