import { type Cell, type IdleCell, type LoopCell, quantile } from './cells.ts';
import type { WorkloadName } from './workloads.ts';

/** Every round's cell, by system. `direct` is the upstream itself. */
export type Rounds = ReadonlyMap<string, readonly Cell[]>;

/**
 * A Markdown table of one workload. Ratios are those of the same round, and of them the median: a machine that is
 * slower for a while is slower for all.
 *
 * @param reference the system that has the ratio 1
 */
export function toTable(workload: WorkloadName, rounds: Rounds, reference: string): string {
  return workload === 'idle' ? idleTable(rounds) : loopTable(workload, rounds, reference);
}

function loopTable(workload: WorkloadName, rounds: Rounds, reference: string): string {
  const unit = workload === 'sse' ? 'streams/s' : 'req/s';
  const added = workload === 'sse' ? 'added first event' : 'added p50';
  const header = [
    'system',
    `${unit} (least to most)`,
    `ratio to ${reference}`,
    'CPU ratio',
    'CPU µs',
    'p50 ms',
    'p99 ms',
    `${added} at c=1, µs`,
    'RSS MiB',
    'errors',
  ];
  const direct = loops(rounds, 'direct');
  const base = loops(rounds, reference);
  const rows = [...rounds.keys()].map((name) => {
    const cells = loops(rounds, name);
    const perSecond = cells.map((cell) => cell.perSecond);
    return [
      name,
      `${median(perSecond).toFixed(0)} (${Math.min(...perSecond).toFixed(0)} to ${Math.max(...perSecond).toFixed(0)})`,
      median(ratios(cells, base, (cell) => cell.perSecond)).toFixed(2),
      (1 / median(ratios(cells, base, (cell) => cell.cpuPerRequest))).toFixed(2),
      median(cells.map((cell) => cell.cpuPerRequest)).toFixed(0),
      (median(cells.map((cell) => cell.p50)) / 1000).toFixed(2),
      (median(cells.map((cell) => cell.p99)) / 1000).toFixed(2),
      median(cells.map((cell, round) => cell.alone - (direct[round]?.alone ?? 0))).toFixed(0),
      (Math.max(...cells.map((cell) => cell.rss)) / 2 ** 20).toFixed(0),
      String(cells.reduce((sum, cell) => sum + cell.errors, 0)),
    ];
  });
  return markdown(header, rows);
}

function idleTable(rounds: Rounds): string {
  const header = ['system', 'KiB per open stream', 'p99 of the first event, ms', 'errors'];
  const rows = [...rounds].map(([name, cells]) => {
    const idle = cells.filter((cell): cell is IdleCell => cell.kind === 'idle');
    return [
      name,
      (median(idle.map((cell) => cell.bytesPerStream)) / 1024).toFixed(0),
      (median(idle.map((cell) => cell.firstEventP99)) / 1000).toFixed(1),
      String(idle.reduce((sum, cell) => sum + cell.errors, 0)),
    ];
  });
  return markdown(header, rows);
}

function loops(rounds: Rounds, name: string): readonly LoopCell[] {
  return (rounds.get(name) ?? []).filter((cell): cell is LoopCell => cell.kind === 'loop');
}

function ratios(
  cells: readonly LoopCell[],
  base: readonly LoopCell[],
  value: (cell: LoopCell) => number,
): number[] {
  return cells.flatMap((cell, round) => {
    const other = base[round];
    return other === undefined ? [] : [value(cell) / value(other)];
  });
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function markdown(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
