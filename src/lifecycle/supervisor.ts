import type { Logger } from 'winston';
import type { Phase, PluginFailure } from '../containment/owner.ts';
import type { TrialGate } from '../containment/trial-gate.ts';
import { GatewayError, toError } from '../errors.ts';
import { PluginAbortError, PluginRenamedError } from './abort.ts';
import { tripOutcome } from './failure-mode.ts';
import type { QuarantineStore } from './quarantine-store.ts';
import type { PluginReason, PluginRecord } from './record.ts';
import type { PluginRegistry } from './registry.ts';
import { outline } from './silhouette.ts';
import { type Starter, toReason } from './start.ts';

export interface SupervisorOptions {
  readonly registry: PluginRegistry;
  readonly starter: Starter;
  readonly store: QuarantineStore;
  readonly cooldownMs: number;
  readonly log: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** A plugin with failure mode `abort` tripped at run time. */
  readonly onAbort: (error: PluginAbortError) => void;
  /**
   * Imports a plugin that was quarantined before its code ran.
   *
   * @throws whatever keeps it from being loaded
   */
  readonly load: (record: PluginRecord) => Promise<void>;
  /** Gives back the routes and names that a plugin had claimed. */
  readonly release: (plugin: string) => void;
  /**
   * Puts the version before this one in its place.
   *
   * @throws whatever keeps it from that
   */
  readonly rollBack: (record: PluginRecord, cause: string) => Promise<void>;
}

/** Phases that are judged where they end; only what surfaces later of them is a runtime failure. */
const OUTSIDE_OF_CALLS: ReadonlySet<Phase> = new Set(['startup', 'shutdown', 'health']);

/** Whether a version that a reload brought is still on trial as a whole. */
function isOnProbation({ probation }: PluginRecord, now: number): boolean {
  return probation !== null && now < probation.until;
}

/** Watches plugins at run time: failures trip breakers, trips quarantine, trials and operators release. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  /** Under way, so that a plugin is not started twice at once. */
  readonly #releases = new Map<PluginRecord, Promise<void>>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Takes note of a runtime failure. */
  onFailure(record: PluginRecord, failure: PluginFailure): void {
    const { log, now, registry } = this.#options;
    const { phase, kind, error, requestId } = failure;
    log.error('plugin failure', {
      event: 'plugin_failure',
      plugin: record.name,
      phase,
      kind,
      error,
      ...(requestId !== null && { requestId }),
    });
    if (OUTSIDE_OF_CALLS.has(phase) && kind !== 'late') return;
    const tripped = record.breaker.fail(now());
    // One that another version has replaced finishes its requests, and no more comes of it.
    if (!tripped || record.state !== 'started' || !registry.has(record)) return;
    const cause = `${phase} ${kind}: ${error.message}`;
    if (isOnProbation(record, now())) void this.#failProbation(record, cause);
    else this.#trip(record, cause);
  }

  /** What stands between a plugin and calls; `null` when nothing does. */
  gate(record: PluginRecord): TrialGate | null {
    if (record.state === 'started') return null;
    return {
      begin: () => this.#beginTrial(record),
      end: (succeeded) => this.#endTrial(record, succeeded),
      retryAfterSeconds: () => this.#retryAfterSeconds(record),
    };
  }

  /**
   * An operator lets a quarantined plugin take part again; one whose startup never succeeded is started now. Asking
   * again while that goes on waits for the same end.
   *
   * @throws GatewayError `conflict` when it is not quarantined or cannot be started; `storage_unavailable` when the
   * store cannot forget the quarantine. It stays quarantined then. PluginRenamedError `conflict`: it is released, but
   * starts with the next process only.
   */
  release(record: PluginRecord): Promise<void> {
    const underWay = this.#releases.get(record);
    if (underWay !== undefined) return underWay;
    const release = this.#release(record).finally(() => this.#releases.delete(record));
    this.#releases.set(record, release);
    return release;
  }

  /**
   * An operator quarantines a plugin until its release, across restarts.
   *
   * @throws GatewayError `conflict` when it is neither started nor quarantined
   */
  async quarantine(record: PluginRecord, cause: string): Promise<void> {
    if (record.state !== 'quarantined') this.#requireState(record, 'started', 'quarantined');
    await this.#quarantineForGood(record, { code: 'plugin_quarantined', message: cause });
  }

  /**
   * Takes a version back that is on probation, as if it had failed too often.
   *
   * @throws GatewayError `conflict` when it is not on probation, or not started
   */
  async giveUp(record: PluginRecord, cause: string): Promise<void> {
    if (!isOnProbation(record, this.#options.now())) throw this.#conflict(record, 'is not on probation');
    this.#requireState(record, 'started', 'given up');
    await this.#failProbation(record, cause);
  }

  /** The store goes first: a release that the next restart would undo is none. */
  async #release(record: PluginRecord): Promise<void> {
    const { registry, store } = this.#options;
    this.#requireState(record, 'quarantined', 'released');
    const stored = await store.load(record.name);
    await store.remove(record.name);
    try {
      if (record.running === null) await this.#startReleased(record);
      else if (record.state === 'quarantined') registry.transition(record, 'start', null); // else a trial was faster
    } catch (error) {
      if (stored !== null && !(error instanceof PluginRenamedError)) await store.save(record.name, stored);
      throw error;
    }
    record.quarantine = null;
    record.trial = false;
    record.breaker.reset();
  }

  async #startReleased(record: PluginRecord): Promise<void> {
    const { release, starter } = this.#options;
    if (record.plugin === null) await this.#load(record);
    const { bag } = record;
    release(record.name);
    record.bag = null;
    try {
      await starter.start(record);
    } catch (error) {
      record.bag = bag;
      const { message } = toReason(error);
      throw new GatewayError('conflict', message, { plugin: record.name, cause: error });
    }
  }

  async #load(record: PluginRecord): Promise<void> {
    try {
      await this.#options.load(record);
    } catch (error) {
      if (error instanceof PluginRenamedError) throw error;
      const { message } = toReason(error);
      const text = `Plugin "${record.name}" could not be loaded; mend it and restart the gateway: ${message}`;
      throw new GatewayError('conflict', text, { plugin: record.name, cause: error });
    }
  }

  /** Out of service at once; then its failure mode counts only if the version before it cannot come back. */
  async #failProbation(record: PluginRecord, cause: string): Promise<void> {
    const { registry, now, rollBack, log } = this.#options;
    const message = `Too many failures on probation; the last one: ${cause}`;
    record.quarantine = { since: now(), until: null, cause };
    registry.transition(record, 'quarantine', { code: 'plugin_quarantined', message });
    try {
      await rollBack(record, cause);
    } catch (error) {
      log.error('the version before this one cannot come back', {
        event: 'plugin_rollback_failed',
        plugin: record.name,
        error: toError(error),
      });
      if (record.state === 'quarantined' && registry.has(record)) this.#trip(record, cause);
    }
  }

  #trip(record: PluginRecord, cause: string): void {
    const { registry, now, onAbort } = this.#options;
    const reason: PluginReason = {
      code: 'plugin_quarantined',
      message: `Too many failures; the last one: ${cause}`,
    };
    const outcome = tripOutcome(record.failureMode);
    if (outcome === 'cool-down') {
      const since = now();
      record.quarantine = { since, until: since + record.breaker.trip(), cause };
      registry.transition(record, 'quarantine', reason);
    } else if (outcome === 'quarantine') {
      void this.#quarantineForGood(record, reason);
    } else {
      record.quarantine = { since: now(), until: null, cause };
      registry.transition(record, 'quarantine', reason);
      onAbort(new PluginAbortError(record.name, reason));
    }
  }

  /** The state changes at once, before the store has been written. */
  #quarantineForGood(record: PluginRecord, reason: PluginReason): Promise<void> {
    const { registry, store, now } = this.#options;
    const since = now();
    record.quarantine = { since, until: null, cause: reason.message };
    registry.transition(record, 'quarantine', reason);
    const silhouette = record.bag === null ? null : outline(record.bag);
    return store.save(record.name, { since, cause: reason.message, code: reason.code, silhouette });
  }

  /** A request may still hold the pipeline of before a release: then this is an ordinary call. */
  #beginTrial(record: PluginRecord): boolean {
    if (record.state === 'started') return true;
    const until = record.quarantine?.until ?? null;
    if (record.state !== 'quarantined' || record.trial || until === null || this.#options.now() < until)
      return false;
    record.trial = true;
    return true;
  }

  #endTrial(record: PluginRecord, succeeded: boolean | null): void {
    if (record.state !== 'quarantined' || !record.trial) return;
    record.trial = false;
    if (record.quarantine?.until == null) return; // made sticky while the trial was under way
    if (succeeded === true) this.#passTrial(record);
    else if (succeeded === false) this.#failTrial(record);
  }

  #passTrial(record: PluginRecord): void {
    record.quarantine = null;
    record.breaker.forgive();
    this.#options.registry.transition(record, 'start', null);
  }

  #failTrial(record: PluginRecord): void {
    const { registry, now } = this.#options;
    if (record.quarantine === null) return;
    record.quarantine = { ...record.quarantine, until: now() + record.breaker.trip() };
    registry.transition(record, 'quarantine', {
      code: 'plugin_quarantined',
      message: 'The trial call failed',
    });
  }

  #retryAfterSeconds(record: PluginRecord): number {
    const { now, cooldownMs } = this.#options;
    const until = record.quarantine?.until ?? null;
    const waitMs = until === null ? cooldownMs : until - now();
    return Math.max(1, Math.ceil(waitMs / 1000));
  }

  #requireState(record: PluginRecord, state: PluginRecord['state'], verb: string): void {
    if (record.state === state) return;
    throw this.#conflict(record, `is ${record.state}; only a plugin that is ${state} can be ${verb}`);
  }

  #conflict(record: PluginRecord, message: string): GatewayError {
    return new GatewayError('conflict', `Plugin "${record.name}" ${message}`, { plugin: record.name });
  }
}
