import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StreamClient } from '../load/stream-client.ts';
import { serveMock } from '../mock-upstream.ts';
import { SYSTEMS, type SystemName } from '../systems.ts';
import type { CallCounts, ProbeAnswer, ProbeRequest } from './probe.ts';

/** Long enough for every cache to be warm and every lazy function to be compiled. */
const WARM_REQUESTS = 300;
const REQUESTS = 200;

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
  const upstream = serveMock(0);
  await once(upstream, 'listening');
  const gateway = await startGateway(system, portOf(upstream.address()), tmp);
  try {
    const client = new StreamClient(gateway);
    await send(client, body, WARM_REQUESTS);
    await ask(gateway.child, 'start-bytes');
    await send(client, body, REQUESTS);
    const bytes = await ask(gateway.child, 'stop-bytes');
    await ask(gateway.child, 'start-calls');
    await send(client, body, REQUESTS);
    const calls = await ask(gateway.child, 'stop-calls');
    client.close();
    if (bytes.kind !== 'bytes' || calls.kind !== 'calls') throw new Error('the probe answered out of turn');
    return toCost(bytes.bytes, calls.calls);
  } finally {
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGTERM');
    await exited;
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

async function startGateway(
  system: SystemName,
  upstreamPort: number,
  tmp: string,
): Promise<{ child: ChildProcess; port: number; headers: Readonly<Record<string, string>> }> {
  const place = { port: 0, upstream: `http://127.0.0.1:${upstreamPort}`, tmp };
  const { args, cwd, env } = SYSTEMS[system].start(place);
  const child = fork(String(args[0]), args.slice(1), {
    cwd,
    env: { ...process.env, NODE_ENV: 'production', LLMROUTER_LOG_FORMAT: 'json', ...env, PORT: '0' },
    execArgv: [
      '--expose-gc',
      '--no-opt',
      '--no-maglev',
      '--no-sparkplug',
      '--min-semi-space-size=256',
      '--max-semi-space-size=256',
      `--import=${join(import.meta.dirname, 'probe.ts')}`,
    ],
    silent: true,
  });
  return { child, port: await readyPort(child), headers: SYSTEMS[system].headers?.(place) ?? {} };
}

function readyPort(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let log = '';
  const onData = (bytes: Buffer): void => {
    log += bytes.toString();
    const line = /^\{.*"event":"ready".*\}$/m.exec(log);
    if (line === null) return;
    child.stdout?.off('data', onData).resume();
    resolve((JSON.parse(line[0]) as { port: number }).port);
  };
  child.stdout?.on('data', onData);
  child.stderr?.on('data', (bytes: Buffer) => {
    log += bytes.toString();
  });
  child.once('exit', () => reject(new Error(`the gateway ended before it was ready:\n${log}`)));
  return promise;
}

async function send(client: StreamClient, body: Buffer, requests: number): Promise<void> {
  for (let n = 0; n < requests; n++) {
    const { text } = await client.request(body);
    if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(`expected 200, saw:\n${text.slice(0, 500)}`);
  }
}

async function ask(child: ChildProcess, request: ProbeRequest): Promise<ProbeAnswer> {
  const answered = once(child, 'message') as Promise<[ProbeAnswer]>;
  child.send(request);
  return (await answered)[0];
}

function portOf(address: ReturnType<ReturnType<typeof serveMock>['address']>): number {
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  return address.port;
}
