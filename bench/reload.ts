// Replaces a plugin hundreds of times under load and watches what becomes of the memory: see docs/hot-upgrade.md.
// node --conditions=routeiq-source bench/reload.ts [--reloads=200] [--clients=64] [--tier=inline | process]
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { writeFiles } from '../test/support/gateway-process.ts';
import { runReloads, versionedPlugin } from '../test/support/reload-run.ts';

const ENTRY = join(import.meta.dirname, '../src/index.ts');
const ADMIN_KEY = 'bench';
/** How many reloads lie between two looks at the heap. */
const SAMPLE_EVERY = 10;
/** The first looks see caches fill; they do not count for the slope. */
const WARM_UP = 20;

/** What V8 has in the heap after it has given back all that it can, in bytes. */
interface Sample {
  readonly reload: number;
  /** Objects, strings and the rest. */
  readonly data: number;
  /** Machine code and bytecode, the gateway's own included: it grows while functions get warm. */
  readonly code: number;
}

/** Answers with the bytes of the heap after a collection. */
const PROBE = `
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
export default {
  metadata: { name: 'probe', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app.get('/heap', (_req, res) => {
      collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }); // V8's caches included
      const sum = { data: 0, code: 0 };
      for (const { space_name: name, space_used_size: bytes } of getHeapSpaceStatistics())
        sum[/code|trusted/.test(name) ? 'code' : 'data'] += bytes;
      res.json(sum);
    });
  },
};`;

const { values } = parseArgs({
  options: {
    reloads: { type: 'string', default: '200' },
    clients: { type: 'string', default: '64' },
    /** Where the plugin that is replaced runs. */
    tier: { type: 'string', default: 'inline' },
  },
});

const dir = mkdtempSync(join(tmpdir(), 'routeiq-bench-reload-'));
writeFiles(dir, { 'plugins/probe.mjs': PROBE, ...versionedPlugin(1) });
const gateway = spawn(process.execPath, ['--conditions=routeiq-source', ENTRY], {
  cwd: dir,
  env: {
    PATH: process.env.PATH,
    PORT: '0',
    LLMROUTER_ADMIN_KEY: ADMIN_KEY,
    LLMROUTER_PLUGINS_ISOLATION: `versioned=${values.tier}`,
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  await measure(`http://127.0.0.1:${await readyPort(gateway)}`);
} finally {
  gateway.kill('SIGTERM');
  await once(gateway, 'close');
  rmSync(dir, { recursive: true, force: true });
}

async function measure(url: string): Promise<void> {
  const samples: Sample[] = [];
  const reloads = Number(values.reloads);
  const tally = await runReloads(
    { url, dir, adminKey: ADMIN_KEY },
    {
      reloads,
      brokenEvery: 10,
      clients: Number(values.clients),
      async onReload(reload) {
        if (reload % SAMPLE_EVERY !== 0) return;
        const heap = (await (await fetch(`${url}/heap`)).json()) as Omit<Sample, 'reload'>;
        samples.push({ reload, ...heap });
      },
    },
  );
  const { lost, mixed, ...counts } = tally;
  console.log(JSON.stringify({ ...counts, lost: lost.length, mixed: mixed.length }));
  for (const { reload, data, code } of samples)
    console.log(`${reload}\t${mebibytes(data)}\t${mebibytes(code)}`);
  reportSlope(samples, WARM_UP, reloads / 2);
  reportSlope(samples, reloads / 2, reloads);
  if (lost.length + mixed.length > 0) process.exitCode = 1;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function reportSlope(samples: readonly Sample[], from: number, to: number): void {
  const part = samples.filter(({ reload }) => reload >= from && reload <= to);
  const [data, code] = (['data', 'code'] as const).map((kind) => {
    const bytes = slope(part.map((sample) => [sample.reload, sample[kind]] as const));
    return `${(bytes / 1024).toFixed(1)} KiB of ${kind}`;
  });
  console.log(`slope of reloads ${from} to ${to}: ${data} and ${code} each`);
}

/** Of the line through the points with the least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const covariance = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0);
  return covariance / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}

async function readyPort(child: ChildProcess): Promise<number> {
  if (child.stdout === null) throw new Error('the gateway has no output');
  const lines = createInterface({ input: child.stdout });
  for await (const text of lines) {
    const line = JSON.parse(text) as { event?: string; port?: number };
    if (line.event !== 'ready' || line.port === undefined) continue;
    child.stdout.resume();
    return line.port;
  }
  throw new Error('the gateway ended before it was ready');
}
