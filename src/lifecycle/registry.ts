import type { Logger } from 'winston';
import { GatewayError } from '../errors.ts';
import type { PluginReason, PluginRecord } from './record.ts';
import { nextState, type PluginEvent, type PluginState } from './states.ts';

/** Told after every transition, in the same tick. */
export type TransitionListener = (record: PluginRecord, from: PluginState) => void;

/** All plugins seen, and the one place where their states change. */
export class PluginRegistry {
  readonly #log: Logger;
  #records: readonly PluginRecord[] = [];
  #byName: ReadonlyMap<string, PluginRecord> = new Map();
  readonly #listeners: TransitionListener[] = [];
  #order: readonly string[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Every record is listed, but of several with one name only one can be found by it: the first, unless that was
   * refused or is not wanted.
   */
  add(record: PluginRecord): void {
    this.#records = [...this.#records, record];
    const first = this.#byName.get(record.name);
    if (first === undefined || first.state === 'rejected' || first.state === 'inactive') {
      this.#byName = new Map([...this.#byName, [record.name, record]]);
    }
  }

  /** Takes over all plugins of `other`, and their order, in one step. Its own are forgotten; nobody is told. */
  replace(other: PluginRegistry): void {
    this.#records = other.#records;
    this.#byName = other.#byName;
    this.#order = other.#order;
  }

  /** False for a plugin that another version has replaced, or that is gone. */
  has(record: PluginRecord): boolean {
    return this.#records.includes(record);
  }

  get(name: string): PluginRecord | undefined {
    return this.#byName.get(name);
  }

  /** In order of discovery. */
  get records(): readonly PluginRecord[] {
    return this.#records;
  }

  /** Names in load order. */
  get order(): readonly string[] {
    return this.#order;
  }

  setOrder(names: readonly string[]): void {
    this.#order = Object.freeze([...names]);
  }

  /** Records in load order. */
  inOrder(): PluginRecord[] {
    return this.#order.flatMap((name) => this.#byName.get(name) ?? []);
  }

  /** All records: first those without a place, then in load order. */
  allInOrder(): PluginRecord[] {
    const ordered = this.inOrder();
    return [...this.#records.filter((record) => !ordered.includes(record)), ...ordered];
  }

  onTransition(listener: TransitionListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Moves a plugin on, logs it, and tells the listeners.
   *
   * @throws GatewayError `internal_error` when the table has no such transition
   */
  transition(record: PluginRecord, event: PluginEvent, reason: PluginReason | null): void {
    const from = record.state;
    const to = nextState(from, event);
    if (to === null) {
      throw new GatewayError(
        'internal_error',
        `Plugin "${record.name}": no transition "${event}" out of "${from}"`,
      );
    }
    record.state = to;
    record.reason = reason;
    this.#logTransition(record, event, from);
    for (const listener of this.#listeners) listener(record, from);
  }

  #logTransition(record: PluginRecord, event: PluginEvent, from: PluginState): void {
    const level =
      event === 'fail' || event === 'quarantine' || event === 'block' || event === 'reject' ? 'warn' : 'info';
    this.#log.log(level, `plugin ${record.state}`, {
      event: 'plugin_transition',
      plugin: record.name,
      specifier: record.candidate.specifier,
      from,
      to: record.state,
      ...(record.reason !== null && { code: record.reason.code, cause: record.reason.message }),
    });
  }
}
