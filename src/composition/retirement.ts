import type { Logger } from 'winston';
import type { Containment } from '../containment/containment.ts';
import type { Snapshot, Snapshots } from '../discovery/snapshots.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';
import { stopInReverse } from '../lifecycle/stop.ts';
import type { ExportQueue } from '../pipeline/exporters.ts';
import { toMembers } from '../pipeline/members.ts';
import type { Watchdog } from '../watchdog/watchdog.ts';

export interface RetirementOptions {
  /** The current generation. */
  readonly registry: PluginRegistry;
  readonly containment: Containment;
  readonly exports: ExportQueue;
  readonly snapshots: Snapshots;
  readonly watchdog: Watchdog;
  readonly shutdownTimeoutMs: number;
  readonly log: Logger;
  /** Resolves when every request that is under way at the call has ended. */
  readonly settled: () => Promise<void>;
}

/** The end of versions that another one has replaced, or that never came to serve. */
export class Retirement {
  readonly #options: RetirementOptions;
  readonly #waiting = new Set<PluginRecord>();
  readonly #underWay = new Set<Promise<void>>();
  /** Ends of probations. */
  readonly #trials = new Map<PluginRecord, NodeJS.Timeout>();

  constructor(options: RetirementOptions) {
    this.#options = options;
  }

  /**
   * Shuts plugins down as soon as no request uses them any more, in the reverse of their order. Returns at once.
   *
   * @param records - in load order; no generation has them any more
   */
  retire(records: readonly PluginRecord[]): void {
    for (const record of records) this.#waiting.add(record);
    const work = this.#retire(records).finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  /** Shuts plugins down at once that have never served: those of `registry`, which did not become the current one. */
  async discard(registry: PluginRegistry, records: readonly PluginRecord[]): Promise<void> {
    await stopInReverse({ ...this.#options, registry }, records);
    await this.#forget(records);
  }

  /** Forgets the version before this one when the probation of this one ends. */
  keepUntilProven(record: PluginRecord): void {
    const { probation } = record;
    if (probation === null || this.#trials.has(record)) return;
    const timer = setTimeout(() => {
      this.#trials.delete(record);
      if (record.probation !== probation) return;
      record.probation = null;
      void this.#drop([probation.previous.kept]);
    }, probation.until - Date.now());
    timer.unref();
    this.#trials.set(record, timer);
  }

  /** Resolves when all that are being retired are. */
  async over(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async #retire(records: readonly PluginRecord[]): Promise<void> {
    const { settled, exports, watchdog } = this.#options;
    await settled();
    await exports.finish(toMembers(records, () => null));
    await watchdog.patiently(() => stopInReverse(this.#options, records));
    for (const record of records) this.#waiting.delete(record);
    await this.#forget(records);
  }

  async #forget(records: readonly PluginRecord[]): Promise<void> {
    const { containment, watchdog } = this.#options;
    for (const record of records) {
      // It would keep the version in memory until then.
      clearTimeout(this.#trials.get(record));
      this.#trials.delete(record);
      // Its modules stay in memory, and with them whatever the plugin has kept of its context.
      record.bag = null;
      const { owner } = record;
      watchdog.forget(containment.spotlight.enroll(owner));
      containment.disown(owner);
    }
    await this.#drop(records.flatMap(keptOf));
  }

  /** A version may be asked for still: it runs, finishes its requests, or is the one that would come back. */
  async #drop(snapshots: readonly Snapshot[]): Promise<void> {
    const users = [...this.#options.registry.records, ...this.#waiting];
    const used = new Set(users.flatMap(keptOf));
    for (const snapshot of snapshots) if (!used.has(snapshot)) await this.#options.snapshots.drop(snapshot);
  }
}

function keptOf({ kept, probation }: PluginRecord): Snapshot[] {
  return [...(kept === null ? [] : [kept]), ...(probation === null ? [] : [probation.previous.kept])];
}
