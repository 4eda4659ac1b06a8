import type { CostSheet } from '../request-scope.ts';

/** What one plugin took of one request, in one phase. */
export interface PluginCost {
  readonly plugin: string;
  readonly phase: string;
  /** From call to settlement, waiting included. Several calls are added up. */
  readonly ms: number;
}

const NONE: readonly PluginCost[] = Object.freeze([]);

/**
 * Where the time of one request went. Its steps are the gateway's own time one after the other, without what it
 * waited for others: they add up to the overhead. What plugins took is a part of the steps that called them.
 */
export class Timeline implements CostSheet {
  readonly #now: () => number;
  /** `null`: nobody wants to see the steps. */
  readonly #steps: { readonly name: string; readonly ms: number }[] | null;
  /** A handful at most: found by looking at each. */
  #plugins: { readonly plugin: string; readonly phase: string; ms: number }[] | null = null;
  #last: number;
  #waitedMs = 0;
  #waitedInAllMs = 0;

  /**
   * @param arrivedAt of the request, on the clock of `now`. Milliseconds.
   * @param hasSteps false: only what plugins take is kept
   */
  constructor(arrivedAt: number, hasSteps: boolean, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#last = arrivedAt;
    this.#steps = hasSteps ? [] : null;
  }

  /** Time since the last step that was not the gateway's: the upload of a body, an upstream. */
  wait(ms: number): void {
    this.#waitedMs += ms;
    this.#waitedInAllMs += ms;
  }

  /** Ends a step: the time since the last one, without what was waited, is its. */
  mark(name: string): void {
    if (this.#steps === null) return;
    const now = this.#now();
    this.#steps.push({ name, ms: Math.max(0, now - this.#last - this.#waitedMs) });
    this.#last = now;
    this.#waitedMs = 0;
  }

  /** A call into a plugin has settled. */
  charge(plugin: string, phase: string, ms: number): void {
    this.#plugins ??= [];
    if (Object.isFrozen(this.#plugins)) this.#plugins = this.#plugins.map((cost) => ({ ...cost }));
    for (const cost of this.#plugins) {
      if (cost.plugin !== plugin || cost.phase !== phase) continue;
      cost.ms += ms;
      return;
    }
    this.#plugins.push({ plugin, phase, ms });
  }

  /** What has been charged so far: whoever holds it does not see what is charged later, and cannot change it. */
  get plugins(): readonly PluginCost[] {
    if (this.#plugins === null) return NONE;
    for (const cost of this.#plugins) Object.freeze(cost);
    return Object.freeze(this.#plugins);
  }

  /** The value of a `Server-Timing` header (W3C Server Timing, "The Server-Timing Header Field"). */
  toServerTiming(): string {
    const steps = (this.#steps ?? []).map(({ name, ms }) => `${name};dur=${ms.toFixed(3)}`);
    const plugins = this.plugins.map(
      ({ plugin, phase, ms }) => `plugin;desc="${plugin} ${phase}";dur=${ms.toFixed(3)}`,
    );
    return [...steps, `wait;dur=${this.#waitedInAllMs.toFixed(3)}`, ...plugins].join(', ');
  }
}
