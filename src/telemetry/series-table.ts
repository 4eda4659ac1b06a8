import type { MetricLabels } from '../plugin-api/metrics.ts';

/** Label combinations that one metric of a plugin may have; the rest is counted under `overflow`. */
const MAX_SERIES = 1000;
const MAX_LABEL_LENGTH = 256;

/** One combination of labels of a metric, and what it stands at. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  value: number;
}

/** What a metric was told, checked. */
export interface Sample {
  readonly series: Series;
  readonly value: number;
}

/** What has the values of some labels in common, in the order of the metric's label names; `null`: without the label. */
class Branch {
  readonly next = new Map<string | null, Branch>();
  series: Series | null = null;
}

/**
 * Checks what a plugin tells one of its metrics, and finds the series that it is about: one look-up per label, of a text that V8
 * has seen before, and no text put together. A label with free text (a user, a path) does not fill the memory.
 */
export class SeriesTable {
  readonly #metric: string;
  readonly #labelNames: readonly string[];
  readonly #known: ReadonlySet<string>;
  readonly #root = new Branch();
  readonly #all: Series[] = [];

  constructor(plugin: string, metric: string, labelNames: readonly string[]) {
    this.#metric = `Plugin "${plugin}", metric "${metric}"`;
    this.#known = new Set(labelNames);
    this.#labelNames = [...this.#known];
  }

  /** All that there are. */
  [Symbol.iterator](): Iterator<Series> {
    return this.#all.values();
  }

  /**
   * Number and labels, in whichever order: a number that were taken for labels would be lost without a word.
   *
   * @param fallback - the number when none is given; left out: there has to be one
   * @param onlyUp - whether the number must not be negative
   * @throws RangeError for what is no such number, and for labels that the metric does not have
   */
  sample(first: unknown, second: unknown, fallback?: number, onlyUp = false): Sample {
    const labelsFirst = typeof first === 'object' || (first === undefined && fallback !== undefined);
    const [labels, value = fallback] = labelsFirst ? [first, second] : [second, first];
    const finite = this.#finite(value);
    if (onlyUp && finite < 0) throw this.#wrong(`saw ${finite}, but a counter only goes up`);
    return { series: this.#at(this.#asLabels(labels)), value: finite };
  }

  /** @throws RangeError for a sum that is too large for a number */
  add(series: Series, value: number): void {
    series.value = this.#finite(series.value + value);
  }

  #at(labels: MetricLabels): Series {
    for (const label of Object.keys(labels)) {
      if (!this.#known.has(label))
        throw this.#wrong(`saw the label "${label}", expected ${this.#describe()}`);
    }
    let branch: Branch | undefined = this.#root;
    for (const name of this.#labelNames) branch = branch?.next.get(textOf(labels, name));
    return branch?.series ?? this.#add(this.#labelNames.map((name) => textOf(labels, name)));
  }

  #add(values: readonly (string | null)[]): Series {
    return this.#grow(this.#all.length < MAX_SERIES ? values : values.map(() => 'overflow'));
  }

  #grow(values: readonly (string | null)[]): Series {
    let branch = this.#root;
    for (const value of values) {
      const next = branch.next.get(value) ?? new Branch();
      branch.next.set(value, next);
      branch = next;
    }
    branch.series ??= this.#make(values);
    return branch.series;
  }

  #make(values: readonly (string | null)[]): Series {
    // A name is none of an object's own: two underscores in front are refused when the metric is made.
    const labels: Record<string, string> = {};
    for (const [at, name] of this.#labelNames.entries()) {
      const value = values[at];
      if (typeof value === 'string') labels[name] = value;
    }
    const series = { labels, value: 0 };
    this.#all.push(series);
    return series;
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

  #describe(): string {
    return this.#known.size === 0 ? 'no labels' : `one of ${this.#labelNames.join(', ')}`;
  }

  #wrong(reason: string): RangeError {
    return new RangeError(`${this.#metric}: ${reason}`);
  }
}

function textOf(labels: MetricLabels, name: string): string | null {
  return Object.hasOwn(labels, name) ? String(labels[name]).slice(0, MAX_LABEL_LENGTH) : null;
}
