/**
 * Runs in a thread of its own and feels the pulse of the main one.
 *
 * @packageDocumentation
 */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { readSpotlight } from '../containment/spotlight.ts';
import type { Silhouette } from '../lifecycle/silhouette.ts';
import { judge } from './judge.ts';
import { MainThread } from './main-thread.ts';
import { describeStall, writeTombstone } from './tombstone.ts';
import { CELL, type Suspect, type Tombstone, type WatchMessage, type WatchOrder } from './types.ts';

/** Longest wait for a look at the main thread when the spotlight has named somebody already. */
const LOOK_MS = 1000;

const { pulse, spotlight, dir, tickMs }: WatchOrder = workerData;
const cells = new Int32Array(pulse);
const suspects = new Map<number, Suspect>();
const outlines = new Map<string, Silhouette>();

let beats = -1;
let stalledMs = 0;
let felt = performance.now();

parentPort?.on('message', (message: WatchMessage) => {
  if (message.kind === 'suspect') suspects.set(message.suspect.id, message.suspect);
  else if (message.kind === 'cleared') suspects.delete(message.id);
  else outlines.set(message.name, message.silhouette);
});

const watch = setInterval(() => {
  const limitMs = Atomics.load(cells, CELL.LIMIT_MS);
  stalledMs = isAlive() || limitMs === 0 ? 0 : stalledMs + sinceLastFelt();
  felt = performance.now();
  if (limitMs === 0 || stalledMs < limitMs) return;
  clearInterval(watch);
  void report(limitMs);
}, tickMs);

function isAlive(): boolean {
  const now = Atomics.load(cells, CELL.BEATS);
  const alive = now !== beats;
  beats = now;
  return alive;
}

/** A stopped process, a frozen container or a sleeping machine stops this thread too: such a gap is no stall. */
function sinceLastFelt(): number {
  return Math.min(performance.now() - felt, 2 * tickMs);
}

async function report(limitMs: number): Promise<void> {
  const marked = readSpotlight(spotlight);
  const importing = Atomics.load(cells, CELL.IMPORTING);
  const main = new MainThread();
  // Native code cannot be looked into before it returns. Without another clue to its caller that is worth the wait.
  const frames = await main.pause(marked === null && importing === 0 ? Math.max(LOOK_MS, limitMs) : LOOK_MS);
  const { suspect, phase, place } = judge({ marked, importing, frames, suspects });
  const tombstone: Tombstone = {
    at: Date.now(),
    pid: process.pid,
    stalledMs: Math.round(stalledMs),
    plugin: suspect && {
      name: suspect.name,
      specifier: suspect.specifier,
      silhouette: outlines.get(suspect.name) ?? null,
    },
    phase,
    place,
    requestId: await main.requestId(frames),
  };
  bury(tombstone);
  Atomics.store(cells, CELL.DOOMED, 1);
  main.end();
}

/** Neither a full disk nor a closed log keeps a process alive that stands still. */
function bury(tombstone: Tombstone): void {
  let line = `routeiq: ${describeStall(tombstone)}; the process ends\n`;
  try {
    writeTombstone(dir, tombstone);
  } catch (error) {
    line += `routeiq: no tombstone could be left in ${dir}: ${String(error)}\n`;
  }
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads it.
  }
}
