import type { Phase, PhaseCounters } from '../containment/owner.ts';

/** One line of the ledger. */
export interface LedgerRow {
  readonly plugin: string;
  readonly phase: Phase;
  readonly counters: Readonly<PhaseCounters>;
}

/** What each plugin's calls cost, by phase. Survives the plugin's restarts, as counters have to. */
export class PluginLedger {
  readonly #plugins = new Map<string, Map<Phase, PhaseCounters>>();

  /** The counters to add to; always the same object for one plugin and phase. */
  phase(plugin: string, phase: Phase): PhaseCounters {
    let phases = this.#plugins.get(plugin);
    if (phases === undefined) {
      phases = new Map();
      this.#plugins.set(plugin, phases);
    }
    let counters = phases.get(phase);
    if (counters === undefined) {
      counters = { calls: 0, failures: 0, timeouts: 0, skipped: 0, seconds: 0 };
      phases.set(phase, counters);
    }
    return counters;
  }

  rows(): LedgerRow[] {
    return [...this.#plugins].flatMap(([plugin, phases]) =>
      [...phases].map(([phase, counters]) => ({ plugin, phase, counters })),
    );
  }
}
