import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lockstep } from '../load/lockstep.ts';
import { StreamClient } from '../load/stream-client.ts';
import { portOf, serveMock } from '../mock-upstream.ts';
import type { SystemName } from '../systems.ts';
import type { CallCounts } from './probe.ts';
import { ProbedGateway } from './probed-gateway.ts';

/** Long enough for every cache to be warm and every lazy function to be compiled. */
const WARM_REQUESTS = 300;
const REQUESTS = 200;
/** Nothing is optimized, and nothing collected before it is asked for. */
const FLAGS = [
  '--no-opt',
  '--no-maglev',
  '--no-sparkplug',
  '--min-semi-space-size=256',
  '--max-semi-space-size=256',
] as const;

/** What one request costs. */
export interface Cost {
  /** Calls of the gateway's own functions. */
  readonly calls: number;
  /** Bytes allocated on the heap, Node's and the libraries' included. */
  readonly bytes: number;
  /** {@link calls} by `file:function`. */
  readonly byFunction: CallCounts;
}

/**
 * Counts what requests cost in a real gateway process that only interprets its code: what the compilers do, and when,
 * differs from run to run; how often a function is called and what it allocates does not.
 *
 * @param system one of this gateway's variants
 * @param body of every request
 */
export async function countCost(system: SystemName, body: Buffer): Promise<Cost> {
  const tmp = mkdtempSync(join(tmpdir(), 'routeiq-count-'));
  const lockstep = new Lockstep();
  const upstream = serveMock(0, lockstep);
  await once(upstream, 'listening');
  const gateway = await ProbedGateway.start(system, portOf(upstream), tmp, FLAGS);
  try {
    const client = new StreamClient(gateway, lockstep);
    await send(client, body, WARM_REQUESTS);
    await gateway.ask('start-bytes');
    await send(client, body, REQUESTS);
    const bytes = await gateway.ask('stop-bytes');
    await gateway.ask('start-calls');
    await send(client, body, REQUESTS);
    const calls = await gateway.ask('stop-calls');
    client.close();
    if (bytes.kind !== 'bytes' || calls.kind !== 'calls') throw new Error('the probe answered out of turn');
    return toCost(bytes.bytes, calls.calls);
  } finally {
    await gateway.stop();
    upstream.close();
    rmSync(tmp, { recursive: true, force: true });
  }
}

/** What happens less than once in two requests is none of theirs: timers, the probe itself. */
function toCost(bytes: number, counts: CallCounts): Cost {
  const byFunction = Object.fromEntries(
    Object.entries(counts)
      .map(([name, count]) => [name, Math.round(count / REQUESTS)] as const)
      .filter(([, count]) => count > 0),
  );
  const calls = Object.values(byFunction).reduce((sum, count) => sum + count, 0);
  return { calls, bytes: Math.round(bytes / REQUESTS), byFunction };
}

async function send(client: StreamClient, body: Buffer, requests: number): Promise<void> {
  for (let n = 0; n < requests; n++) {
    const { text } = await client.request(body);
    if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(`expected 200, saw:\n${text.slice(0, 500)}`);
  }
}
