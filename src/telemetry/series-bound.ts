import type { MetricLabels } from '../plugin-api/metrics.ts';

/** Label combinations that one metric of a plugin may have; the rest is counted under `overflow`. */
const MAX_SERIES = 1000;
const MAX_LABEL_LENGTH = 256;

type SeriesLabels = Record<string, string | number>;

/** What a metric was told, checked. */
export interface Sample {
  readonly labels: SeriesLabels;
  readonly value: number;
}

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

  /**
   * Number and labels, in whichever order: a number that were taken for labels would be lost without a word.
   *
   * @param fallback - the number when none is given; left out: there has to be one
   * @throws RangeError for what is no finite number, and for labels that the metric does not have
   */
  sample(first: unknown, second: unknown, fallback?: number): Sample {
    const labelsFirst = typeof first === 'object' || (first === undefined && fallback !== undefined);
    const [labels, value = fallback] = labelsFirst ? [first, second] : [second, first];
    const finite = this.#finite(value);
    return { labels: this.#admit(this.#asLabels(labels)), value: finite };
  }

  /** @throws RangeError */
  positive(value: number): number {
    if (value < 0) throw this.#wrong(`saw ${value}, but a counter only goes up`);
    return value;
  }

  #admit(labels: MetricLabels): SeriesLabels {
    // A name is none of an object's own: two underscores in front are refused when the metric is made.
    const series: SeriesLabels = {};
    for (const label of Object.keys(labels)) {
      if (!this.#labelNames.has(label))
        throw this.#wrong(`saw the label "${label}", expected ${this.#describe()}`);
      series[label] = String(labels[label]).slice(0, MAX_LABEL_LENGTH);
    }
    const key = this.#keyOf(series);
    if (this.#seen.has(key)) return series;
    if (this.#seen.size >= MAX_SERIES) return this.#overflow();
    this.#seen.add(key);
    return series;
  }

  /** Each value with its length in front: what the values are joined with may be in them. */
  #keyOf(series: SeriesLabels): string {
    let key = '';
    for (const label of this.#labelNames) {
      const value = Object.hasOwn(series, label) ? (series[label] as string) : null;
      key += value === null ? '-' : `${value.length}:${value}`;
    }
    return key;
  }

  #finite(value: unknown): number {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#wrong('expected a finite number');
    return value;
  }

  #asLabels(labels: unknown): MetricLabels {
    if (labels === undefined) return {};
    if (typeof labels === 'object' && labels !== null) return labels as MetricLabels;
    throw this.#wrong(`saw ${labels === null ? 'null' : typeof labels} as its labels, expected an object`);
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
