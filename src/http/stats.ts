/** Which part of the gateway answered. `refused`: none did, a guard, the authentication or a middleware had said all. */
export const SURFACES = ['refused', 'own', 'admin', 'data_plane', 'mcp', 'routes'] as const;
export type Surface = (typeof SURFACES)[number];

const METHODS = ['GET', 'POST', 'other'] as const;
const STATUSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** Answers of one kind, counted since the start. */
export interface StatsRow {
  readonly surface: Surface;
  readonly method: (typeof METHODS)[number];
  readonly status: (typeof STATUSES)[number];
  readonly count: number;
}

/** Plain counters, bumped once per answer and turned into rows when somebody looks. */
export class HttpStats {
  readonly #counts: Float64Array = new Float64Array(SURFACES.length * METHODS.length * STATUSES.length);

  /** Counts one answer. A status outside of HTTP's five classes counts as 5xx. */
  count(surface: Surface, method: string | undefined, status: number): void {
    const index = cell(SURFACES.indexOf(surface), methodIndex(method), statusIndex(status));
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** Every kind of answer that was given at least once. */
  rows(): StatsRow[] {
    return SURFACES.flatMap((surface, s) =>
      METHODS.flatMap((method, m) =>
        STATUSES.map((status, c) => ({ surface, method, status, count: this.#counts[cell(s, m, c)] ?? 0 })),
      ),
    ).filter((row) => row.count > 0);
  }
}

function cell(surface: number, method: number, status: number): number {
  return (surface * METHODS.length + method) * STATUSES.length + status;
}

function methodIndex(method: string | undefined): number {
  if (method === 'POST') return 1;
  return method === 'GET' ? 0 : 2;
}

function statusIndex(status: number): number {
  return Math.min(Math.trunc(status / 100), STATUSES.length) - 1;
}
