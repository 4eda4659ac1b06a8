import { availableParallelism } from 'node:os';
import type { PluginCandidate } from '../discovery/types.ts';
import { type Admission, type AdmissionPolicy, admit, admitUnread, type ImportGuard } from './admit.ts';

/** Imports keep a core busy, with pauses for the disk. */
const AT_ONCE = 2 * availableParallelism();

/**
 * Admits plugins as they are asked for. Those whose code is imported in a process of its own touch nothing of each
 * other, so they are begun ahead of their turn and side by side: it is their processes that take time. All others are
 * imported one after the other, since their modules share this process.
 */
export class Admissions {
  readonly #policy: AdmissionPolicy;
  readonly #guard: ImportGuard;
  readonly #waiting: PluginCandidate[];
  readonly #begun = new Map<PluginCandidate, Promise<Admission>>();
  #underWay = 0;

  /** @param candidates - in the order of discovery; no code of them has been read */
  constructor(candidates: readonly PluginCandidate[], policy: AdmissionPolicy, guard: ImportGuard) {
    this.#policy = policy;
    this.#guard = guard;
    this.#waiting = candidates.filter(
      (candidate) => admitUnread(candidate, policy, guard) === null && guard.isAside(candidate),
    );
  }

  of(candidate: PluginCandidate): Promise<Admission> {
    this.#fill();
    return this.#begun.get(candidate) ?? admit(candidate, this.#policy, this.#guard);
  }

  #fill(): void {
    while (this.#underWay < AT_ONCE) {
      const candidate = this.#waiting.shift();
      if (candidate === undefined) return;
      this.#begun.set(candidate, this.#begin(candidate));
    }
  }

  async #begin(candidate: PluginCandidate): Promise<Admission> {
    this.#underWay++;
    try {
      return await admit(candidate, this.#policy, this.#guard);
    } finally {
      this.#underWay--;
      this.#fill();
    }
  }
}
