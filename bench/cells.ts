import { setTimeout as sleep } from 'node:timers/promises';
import { usageOf } from './load/processes.ts';
import { StreamClient } from './load/stream-client.ts';
import type { LoopTarget, Wrk } from './load/wrk.ts';
import { BODIES, BURST_EVENTS, IDLE_EVENTS, type WorkloadName } from './workloads.ts';

/** A running system. */
export interface Target extends LoopTarget {
  readonly pid: number;
}

/** One measurement of a closed loop. Times in microseconds. */
export interface LoopCell {
  readonly kind: 'loop';
  readonly perSecond: number;
  /** The system's own processor time per request: what noise moves least. */
  readonly cpuPerRequest: number;
  readonly p50: number;
  readonly p99: number;
  /** With one connection: the median of the answers, for `sse` of the first events. */
  readonly alone: number;
  readonly rss: number;
  readonly errors: number;
}

/** One measurement of streams that are open and mostly wait. */
export interface IdleCell {
  readonly kind: 'idle';
  readonly bytesPerStream: number;
  /** Microseconds. */
  readonly firstEventP99: number;
  readonly errors: number;
}

export type Cell = LoopCell | IdleCell;

const CONNECTIONS = 32;
const FIRST_EVENTS = 100;
const STREAMS = 500;

/** Measures one system once. */
export function measure(wrk: Wrk, target: Target, workload: WorkloadName, seconds: number): Promise<Cell> {
  return workload === 'idle' ? idle(target) : loop(wrk, target, workload, seconds);
}

/**
 * Sends one request and looks at the answer.
 *
 * @throws Error, with the beginning of an answer that is not the one expected
 */
export async function check(target: LoopTarget, workload: WorkloadName, label: string): Promise<void> {
  const client = new StreamClient(target);
  const { text, events } = await client.request(workload === 'idle' ? BODIES.first : BODIES[workload]);
  client.close();
  const expected = workload === 'sse' ? BURST_EVENTS : workload === 'idle' ? 3 : 0;
  if (/^HTTP\/1\.1 200 /.test(text) && text.includes('chatcmpl-bench') && events === expected) return;
  throw new Error(`${label}: expected 200 and ${expected} events, saw ${events} in:\n${text.slice(0, 1000)}`);
}

async function loop(
  wrk: Wrk,
  target: Target,
  workload: Exclude<WorkloadName, 'idle'>,
  seconds: number,
): Promise<LoopCell> {
  const before = usageOf(target.pid);
  const busy = await wrk.loop(target, BODIES[workload], CONNECTIONS, seconds);
  const after = usageOf(target.pid);
  const alone =
    workload === 'sse'
      ? await firstEventAlone(target)
      : (await wrk.loop(target, BODIES[workload], 1, Math.max(1, Math.trunc(seconds / 3)))).p50;
  return {
    kind: 'loop',
    perSecond: busy.perSecond,
    cpuPerRequest: ((after.cpuSeconds - before.cpuSeconds) / busy.requests) * 1e6,
    p50: busy.p50,
    p99: busy.p99,
    alone,
    rss: after.rss,
    errors: busy.errors,
  };
}

async function firstEventAlone(target: LoopTarget): Promise<number> {
  const client = new StreamClient(target);
  const times: number[] = [];
  for (let n = 0; n < FIRST_EVENTS; n++) times.push((await client.request(BODIES.first)).firstEvent);
  client.close();
  return quantile(times, 0.5);
}

async function idle(target: Target): Promise<IdleCell> {
  for (let n = 0; n < 20; n++) await firstOf(target);
  const before = usageOf(target.pid);
  const clients: StreamClient[] = [];
  const streams: Promise<{ readonly firstEvent: number; readonly ok: boolean }>[] = [];
  for (let n = 0; n < STREAMS; n++) {
    const client = new StreamClient(target);
    clients.push(client);
    streams.push(
      client.request(BODIES.idle).then(
        ({ firstEvent, events }) => ({ firstEvent, ok: events === IDLE_EVENTS }),
        () => ({ firstEvent: 0, ok: false }),
      ),
    );
    // So many at a time that the listener's queue is not what is measured.
    if (n % 20 === 19) await sleep(10);
  }
  await sleep(2000);
  const open = usageOf(target.pid);
  const results = await Promise.all(streams);
  for (const client of clients) client.close();
  return {
    kind: 'idle',
    bytesPerStream: (open.rss - before.rss) / STREAMS,
    firstEventP99: quantile(
      results.map(({ firstEvent }) => firstEvent),
      0.99,
    ),
    errors: results.filter(({ ok }) => !ok).length,
  };
}

async function firstOf(target: LoopTarget): Promise<void> {
  const client = new StreamClient(target);
  await client.request(BODIES.first);
  client.close();
}

/** The value below which a share `q` of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
