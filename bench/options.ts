import { parseArgs } from 'node:util';
import { isSystemName, SYSTEM_NAMES, type SystemName } from './systems.ts';
import { isWorkloadName, WORKLOAD_NAMES, type WorkloadName } from './workloads.ts';

/** What one run measures. */
export interface BenchOptions {
  readonly systems: readonly SystemName[];
  readonly workloads: readonly WorkloadName[];
  /** Every system is measured once in each round. */
  readonly rounds: number;
  /** Length of one measurement. */
  readonly seconds: number;
  /** Longest warm-up of one system before the first round. */
  readonly warmSeconds: number;
  /** Where the raw figures go, as JSON. `null`: nowhere. */
  readonly out: string | null;
}

export const USAGE: string = `usage: npm run bench -- [options]
  --systems    ${SYSTEM_NAMES.join(', ')} (default: raw,gateway,plugins)
  --workloads  ${WORKLOAD_NAMES.join(', ')} (default: all)
  --rounds     1 to 20 (default: 5)
  --seconds    1 to 30 (default: 3)
  --warm       0 to 60 seconds (default: 15)
  --out        file for the raw figures`;

/**
 * Reads the command line.
 *
 * @throws Error, with the value seen and the values expected
 */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      systems: { type: 'string', default: 'raw,gateway,plugins' },
      workloads: { type: 'string', default: WORKLOAD_NAMES.join(',') },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      warm: { type: 'string', default: '15' },
      out: { type: 'string' },
    },
  });
  return {
    systems: namesOf('--systems', values.systems, isSystemName, SYSTEM_NAMES),
    workloads: namesOf('--workloads', values.workloads, isWorkloadName, WORKLOAD_NAMES),
    rounds: whole('--rounds', values.rounds, 1, 20),
    seconds: whole('--seconds', values.seconds, 1, 30),
    warmSeconds: whole('--warm', values.warm, 0, 60),
    out: values.out ?? null,
  };
}

function namesOf<T extends string>(
  option: string,
  text: string,
  isName: (name: string) => name is T,
  known: readonly T[],
): readonly T[] {
  return text.split(',').map((name) => {
    if (isName(name)) return name;
    throw new Error(`${option}: saw ${JSON.stringify(name)}, expected some of ${known.join(', ')}`);
  });
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`${option}: saw ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}`);
}
