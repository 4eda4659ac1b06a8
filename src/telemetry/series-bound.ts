import type { MetricLabels } from '../plugin-api/metrics.ts';

/** Label combinations that one metric of a plugin may have; the rest is counted under `overflow`. */
const MAX_SERIES = 1000;
const MAX_LABEL_LENGTH = 256;

export type SeriesLabels = Record<string, string | number>;

/**
 * Checks what a plugin tells one of its metrics, and keeps a label with free text (a user, a path) from filling the
 * memory.
 */
export class SeriesBound {
  readonly #metric: string;
  readonly #labelNames: ReadonlySet<string>;
  readonly #seen = new Set<string>();

  constructor(plugin: string, metric: string, labelNames: readonly string[]) {
    this.#metric = `Plugin "${plugin}", metric "${metric}"`;
    this.#labelNames = new Set(labelNames);
  }

  /** @throws RangeError for a label that the metric does not have */
  admit(labels: MetricLabels = {}): SeriesLabels {
    const series: SeriesLabels = Object.create(null);
    for (const label of Object.keys(labels)) {
      if (!this.#labelNames.has(label))
        throw this.#wrong(`saw the label "${label}", expected ${this.#describe()}`);
      series[label] = String(labels[label]).slice(0, MAX_LABEL_LENGTH);
    }
    const key = JSON.stringify([...this.#labelNames].map((label) => series[label] ?? null));
    if (this.#seen.has(key)) return series;
    if (this.#seen.size >= MAX_SERIES) return this.#overflow();
    this.#seen.add(key);
    return series;
  }

  /** @throws RangeError */
  finite(value: unknown): number {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#wrong('expected a finite number');
    return value;
  }

  /** @throws RangeError */
  positive(value: unknown): number {
    const number = this.finite(value);
    if (number < 0) throw this.#wrong(`saw ${number}, but a counter only goes up`);
    return number;
  }

  #overflow(): SeriesLabels {
    return Object.fromEntries([...this.#labelNames].map((label) => [label, 'overflow']));
  }

  #describe(): string {
    return this.#labelNames.size === 0 ? 'no labels' : `one of ${[...this.#labelNames].join(', ')}`;
  }

  #wrong(reason: string): RangeError {
    return new RangeError(`${this.#metric}: ${reason}`);
  }
}
