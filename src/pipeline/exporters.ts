import { type Containment, ignoreResult } from '../containment/containment.ts';
import type { CallRecord, Exporter } from '../plugin-api/exporter.ts';
import { enter, type Member } from './member.ts';

interface Entry {
  readonly member: Member;
  readonly exporter: Exporter;
}

/** When a batch goes out, and how much may wait. */
export interface ExportLimits {
  readonly batchSize: number;
  readonly intervalMs: number;
  /** Records that may wait for slow exporters; beyond that the oldest are dropped and counted. */
  readonly maxPending: number;
}

/** Small batches: what waits for one is copied by every collection of the young objects meanwhile. */
const DEFAULT_LIMITS: ExportLimits = { batchSize: 64, intervalMs: 1000, maxPending: 16_384 };

/**
 * Collects call records and hands them to the exporters in batches, off the request's path. It outlives pipelines:
 * what is pending when one is replaced goes to the exporters of the next.
 */
export class ExportQueue {
  readonly #containment: Containment;
  readonly #limits: ExportLimits;
  #entries: readonly Entry[] = [];
  #pending: CallRecord[] = [];
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #dropped = 0;

  constructor(containment: Containment, limits: ExportLimits = DEFAULT_LIMITS) {
    this.#containment = containment;
    this.#limits = limits;
  }

  /** Takes the exporters of `members`. Returns the pipeline's phase: `null` when there is none. */
  compile(members: readonly Member[]): ((record: CallRecord) => void) | null {
    this.#entries = toEntries(members);
    return this.#entries.length === 0 ? null : this.#add;
  }

  /** Records that were dropped because exporters were too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sends what is pending and lets every exporter flush. Never rejects. */
  async flush(): Promise<void> {
    this.#send();
    await this.#running;
    await Promise.all(
      this.#entries.map(({ member, exporter }) => this.#call(member, exporter, () => exporter.flush?.())),
    );
  }

  /**
   * Lets exporters flush that are no longer part of the pipeline, after the batch that they may be at. Never rejects.
   */
  async finish(members: readonly Member[]): Promise<void> {
    await this.#running;
    await Promise.all(
      toEntries(members).map(({ member, exporter }) =>
        this.#call(member, exporter, () => exporter.flush?.()),
      ),
    );
  }

  readonly #add = (record: CallRecord): void => {
    this.#pending.push(record);
    if (this.#pending.length > this.#limits.maxPending) {
      this.#pending.shift();
      this.#dropped++;
    }
    // At a larger size the send is queued already, behind an exporter that is slow.
    if (this.#pending.length === this.#limits.batchSize) this.#send();
    else if (this.#timer === null) {
      this.#timer = setTimeout(() => this.#send(), this.#limits.intervalMs);
      this.#timer.unref();
    }
  };

  /** One batch at a time: an exporter never runs beside itself. */
  #send(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#running = this.#running.then(() => this.#sendPending());
  }

  async #sendPending(): Promise<void> {
    if (this.#pending.length === 0) return;
    const batch = Object.freeze(this.#pending.map((record) => Object.freeze(record)));
    this.#pending = [];
    const slow: Promise<void>[] = [];
    for (const { member, exporter } of this.#entries) {
      const exported = this.#call(member, exporter, () => exporter.export(batch));
      if (exported !== undefined) slow.push(exported);
    }
    if (slow.length > 0) await Promise.all(slow);
  }

  /** `undefined`: it is done already. Never throws or rejects: a failure is counted where it is found. */
  #call(member: Member, exporter: Exporter, fn: () => unknown): Promise<void> | undefined {
    const what = `exporter "${exporter.name}"`;
    const site = { owner: member.owner, phase: 'exporter' as const, what, check: ignoreResult };
    try {
      const called = enter(this.#containment, member.gate, site, null, fn);
      return called instanceof Promise ? called.catch(ignoreResult) : undefined;
    } catch {
      return undefined;
    }
  }
}

function toEntries(members: readonly Member[]): readonly Entry[] {
  return members.flatMap((member) => (member.bag?.exporters ?? []).map((exporter) => ({ member, exporter })));
}
