// usage: node bench/memory.ts [requests]   (default: 1000000)
// Live heap after every tenth of the requests, and its slope: what is kept of calls that are over.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProbedGateway } from './count/probed-gateway.ts';
import { Wrk } from './load/wrk.ts';
import { portOf, serveMock } from './mock-upstream.ts';
import { BODIES } from './workloads.ts';

const MIB = 2 ** 20;
const total = Math.min(Number(process.argv[2] ?? 1_000_000), 5_000_000);
const tmp = mkdtempSync(join(tmpdir(), 'routeiq-memory-'));
const upstream = serveMock(0);
await once(upstream, 'listening');
const gateway = await ProbedGateway.start('plugins', portOf(upstream), tmp, []);
const wrk = new Wrk(tmp);
try {
  const samples: { readonly requests: number; readonly bytes: number }[] = [];
  // The first calls fill caches and compile code.
  let requests = (await wrk.loop(gateway, BODIES.json, 32, 5)).requests;
  const first = requests;
  while (requests - first < total) {
    samples.push({ requests, bytes: await liveBytes(gateway) });
    console.log(`${requests} requests: ${((samples.at(-1)?.bytes ?? 0) / MIB).toFixed(2)} MiB`);
    const until = requests + total / 10;
    while (requests < until) {
      const { requests: sent, errors } = await wrk.loop(gateway, BODIES.json, 32, 2);
      if (errors > 0) throw new Error(`${errors} requests failed`);
      requests += sent;
    }
  }
  samples.push({ requests, bytes: await liveBytes(gateway) });
  console.log(`slope: ${((slope(samples) * 100_000) / MIB).toFixed(3)} MiB per 100,000 requests`);
} finally {
  await gateway.stop();
  upstream.close();
  rmSync(tmp, { recursive: true, force: true });
}

async function liveBytes(target: ProbedGateway): Promise<number> {
  const answer = await target.ask('live-bytes');
  if (answer.kind !== 'bytes') throw new Error('the probe answered out of turn');
  return answer.bytes;
}

/** Least squares: bytes per request. */
function slope(samples: readonly { readonly requests: number; readonly bytes: number }[]): number {
  const meanX = mean(samples.map(({ requests }) => requests));
  const meanY = mean(samples.map(({ bytes }) => bytes));
  const covariance = mean(samples.map(({ requests, bytes }) => (requests - meanX) * (bytes - meanY)));
  return covariance / mean(samples.map(({ requests }) => (requests - meanX) ** 2));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
