/** One part of a start, and what it was made of. */
export interface BootStep {
  readonly name: string;
  /** Milliseconds, to the hundredth. */
  readonly ms: number;
  /** Those that were timed on their own, in their order; left out when there are none. */
  readonly steps?: readonly BootStep[];
}

/** Times the steps of something. */
export interface StepTimer {
  /** Runs `work` as a step of the one that is under way. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** The same for what is done at once. */
  now<T>(name: string, work: () => T): T;
}

/** Runs everything and times nothing. */
export const UNTIMED: StepTimer = Object.freeze({
  step: <T>(_name: string, work: () => Promise<T>) => work(),
  now: <T>(_name: string, work: () => T) => work(),
});

interface OpenStep {
  readonly name: string;
  readonly since: number;
  readonly steps: BootStep[];
}

/**
 * Where the time of a start goes, from the beginning of the process. One step runs at a time: a step that begins while
 * another is under way is part of it.
 *
 * @example
 * ```ts
 * const timer = new BootTimer();
 * const config = timer.now('config', () => loadConfig(input));
 * await timer.step('listen', () => http.listen());
 * log.info('boot', { event: 'boot', ...timer.end() });
 * ```
 */
export class BootTimer implements StepTimer {
  readonly #now: () => number;
  readonly #open: OpenStep[] = [{ name: 'boot', since: 0, steps: [] }];
  #ended = false;

  /** @param now milliseconds since the process has begun. Default: `performance.now` */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Adds a step that lasted from the end of the last one until `at`, for what ran before there was a timer. */
  mark(name: string, at: number): void {
    const { steps } = this.#current;
    const before = steps.reduce((sum, { ms }) => sum + ms, 0);
    steps.push({ name, ms: rounded(at - before) });
  }

  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#ended) return work();
    this.#begin(name);
    try {
      return await work();
    } finally {
      this.#finish();
    }
  }

  now<T>(name: string, work: () => T): T {
    if (this.#ended) return work();
    this.#begin(name);
    try {
      return work();
    } finally {
      this.#finish();
    }
  }

  /** The whole, up to now. Whatever is timed after it runs untimed: reloads take the same ways as the start. */
  end(): BootStep {
    this.#ended = true;
    while (this.#open.length > 1) this.#finish();
    return this.#close(this.#current);
  }

  get #current(): OpenStep {
    return this.#open.at(-1) as OpenStep;
  }

  #begin(name: string): void {
    this.#open.push({ name, since: this.#now(), steps: [] });
  }

  #finish(): void {
    if (this.#open.length === 1) return;
    const done = this.#close(this.#open.pop() as OpenStep);
    this.#current.steps.push(done);
  }

  #close({ name, since, steps }: OpenStep): BootStep {
    const ms = rounded(this.#now() - since);
    return steps.length === 0 ? { name, ms } : { name, ms, steps };
  }
}

/** A line for every step, below the one that it is part of. */
export function toTree(steps: readonly BootStep[], indent = '  '): string[] {
  return steps.flatMap(({ name, ms, steps: parts = [] }, index) => {
    const isLast = index === steps.length - 1;
    const line = `${indent}${isLast ? '└─' : '├─'} ${name} ${ms} ms`;
    return [line, ...toTree(parts, `${indent}${isLast ? '   ' : '│  '}`)];
  });
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
