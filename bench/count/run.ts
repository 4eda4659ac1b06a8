// usage: node bench/count/run.ts [--update]
// Counts calls and allocated bytes per request on fixed workloads and compares them with bench/count/budget.json: a
// guard against decay that no noise can trip. See docs/performance.md, "A guard against decay".
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SystemName } from '../systems.ts';
import { BODIES } from '../workloads.ts';
import { type Cost, countCost } from './cost.ts';

const BUDGET_FILE = join(import.meta.dirname, 'budget.json');

interface CountedWorkload {
  readonly name: string;
  readonly system: SystemName;
  readonly body: Buffer;
}

/** How many more bytes than budgeted are allowed: several times as many as runs were seen to differ by. */
const TOLERANCE = 0.005;

const WORKLOADS: readonly CountedWorkload[] = [
  { name: 'json', system: 'gateway', body: BODIES.json },
  { name: 'json with ten plugins', system: 'plugins', body: BODIES.json },
  { name: 'json with twenty no-op plugins', system: 'noop', body: BODIES.json },
  { name: 'sse of 100 events', system: 'gateway', body: BODIES.stepped },
];

type Budget = Readonly<Record<string, Cost>>;

const isUpdate = process.argv.includes('--update');
const budget = isUpdate ? {} : (JSON.parse(readFileSync(BUDGET_FILE, 'utf8')) as Budget);
const measured: Record<string, Cost> = {};
const problems: string[] = [];
for (const workload of WORKLOADS) {
  const { name } = workload;
  const cost = await countCost(workload.system, workload.body);
  measured[name] = cost;
  console.log(`${name}: ${cost.calls} calls, ${cost.bytes} bytes per request`);
  if (!isUpdate) problems.push(...compare(workload, cost, budget[name]));
}
if (isUpdate) writeFileSync(BUDGET_FILE, `${JSON.stringify(measured, null, 2)}\n`);
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;

function compare({ name }: CountedWorkload, cost: Cost, allowed: Cost | undefined): string[] {
  if (allowed === undefined)
    return [`${name}: not in the budget; run with --update and look at the difference`];
  const problems: string[] = [];
  if (cost.calls > allowed.calls) {
    problems.push(
      `${name}: ${cost.calls} calls per request, allowed are ${allowed.calls}:${more(cost, allowed)}`,
    );
  }
  if (cost.bytes > allowed.bytes * (1 + TOLERANCE)) {
    problems.push(
      `${name}: ${cost.bytes} bytes per request, allowed are ${allowed.bytes} and ${TOLERANCE * 100} %`,
    );
  }
  return problems;
}

/** The functions that are called more often than they were. */
function more(cost: Cost, allowed: Cost): string {
  return Object.entries(cost.byFunction)
    .filter(([name, count]) => count > (allowed.byFunction[name] ?? 0))
    .map(([name, count]) => `\n  ${name}: ${count}, was ${allowed.byFunction[name] ?? 0}`)
    .join('');
}
