// Measures this gateway beside others over loopback: see docs/performance.md.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cell, check, measure, type Target } from './cells.ts';
import { CORES, Processes } from './load/processes.ts';
import { Wrk } from './load/wrk.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { toTable } from './report.ts';
import { SYSTEMS, type SystemName } from './systems.ts';
import { BODIES, type WorkloadName } from './workloads.ts';

const UPSTREAM_PORT = 9400;

interface Bench {
  readonly options: BenchOptions;
  readonly processes: Processes;
  readonly wrk: Wrk;
  readonly tmp: string;
}

async function main(options: BenchOptions): Promise<void> {
  const tmp = mkdtempSync(join(tmpdir(), 'routeiq-bench-'));
  const bench = { options, processes: new Processes(tmp), wrk: new Wrk(tmp), tmp };
  const figures: Record<string, Record<string, readonly Cell[]>> = {};
  process.once('SIGINT', () => bench.processes.stopAll().finally(() => process.exit(130)));
  try {
    console.log(
      `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${new Date().toISOString()}`,
    );
    for (const name of options.systems) console.log(`- ${name}: ${SYSTEMS[name].about}`);
    for (const workload of options.workloads) {
      const rounds = await runWorkload(bench, workload);
      figures[workload] = Object.fromEntries(rounds);
      const reference = options.systems.includes('raw') ? 'raw' : String(options.systems[0]);
      console.log(
        `\n## ${workload}, ${options.rounds} rounds of ${options.seconds} s\n\n${toTable(workload, rounds, reference)}`,
      );
    }
    if (options.out !== null) writeFileSync(options.out, JSON.stringify(figures, null, 1));
  } finally {
    await bench.processes.stopAll();
    rmSync(tmp, { recursive: true, force: true });
  }
}

/** All systems are up during a workload, and every round measures each of them once, so that all share the machine's moods. */
async function runWorkload(bench: Bench, workload: WorkloadName): Promise<ReadonlyMap<string, Cell[]>> {
  const { options, processes, wrk } = bench;
  const targets = await startAll(bench, workload);
  const rounds = new Map<string, Cell[]>([...targets.keys()].map((name) => [name, []]));
  if (workload !== 'idle') {
    for (const target of targets.values()) await warmUp(wrk, target, workload, options.warmSeconds);
  }
  for (let round = 1; round <= options.rounds; round++) {
    for (const [name, target] of targets) {
      // V8 gave up code and memory while the others ran.
      if (workload !== 'idle') await warmUp(wrk, target, workload, 1);
      const cell = await measure(wrk, target, workload, options.seconds);
      rounds.get(name)?.push(cell);
      console.error(`${workload} ${round}/${options.rounds} ${name} ${JSON.stringify(cell)}`);
    }
  }
  await processes.stopAll();
  return rounds;
}

async function startAll(
  { options, processes, tmp }: Bench,
  workload: WorkloadName,
): Promise<ReadonlyMap<string, Target>> {
  const mock = await processes.start('upstream', CORES.load, UPSTREAM_PORT, {
    args: [join(import.meta.dirname, 'mock-upstream.ts'), String(UPSTREAM_PORT)],
    cwd: tmp,
  });
  const targets = new Map<string, Target>([
    ['direct', { port: UPSTREAM_PORT, pid: Number(mock.pid), headers: {} }],
  ]);
  for (const [index, name] of options.systems.entries()) {
    const place = { port: UPSTREAM_PORT + 1 + index, upstream: `http://127.0.0.1:${UPSTREAM_PORT}`, tmp };
    const { start, headers } = SYSTEMS[name];
    const core = coresFor(name);
    const child = await processes.start(name, core, place.port, start(place));
    const target = { port: place.port, pid: Number(child.pid), headers: headers?.(place) ?? {} };
    await check(target, workload, name);
    targets.set(name, target);
  }
  return targets;
}

/** Workers are of use only with a core each. */
function coresFor(name: SystemName): string {
  return name === 'workers' ? [...new Set(Object.values(CORES))].join(',') : CORES.system;
}

async function warmUp(
  wrk: Wrk,
  target: Target,
  workload: Exclude<WorkloadName, 'idle'>,
  seconds: number,
): Promise<void> {
  if (seconds > 0) await wrk.loop(target, BODIES[workload], 32, seconds);
}

let options: BenchOptions;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exit(2);
}
await main(options);
