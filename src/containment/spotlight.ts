import type { CallContext, Owner, Phase } from './owner.ts';

/** Phases by their number in a mark. Four bits: at most 16. */
const PHASES: readonly Phase[] = [
  'startup',
  'shutdown',
  'health',
  'route',
  'middleware',
  'auth',
  'hook',
  'evaluator',
  'strategy',
  'tool',
  'exporter',
  'provider',
  'storage',
  'background',
];
const PHASE_BITS = 4;
const NUMBERS: ReadonlyMap<Phase, number> = new Map(PHASES.map((phase, number) => [phase, number]));

/** Nobody's: the gateway's own code. */
const NOBODY = 0;

/** What a mark says: the number that {@link Spotlight.enroll} gave to an owner, and the phase of the call. */
export interface Marked {
  readonly id: number;
  readonly phase: Phase;
}

/**
 * Says in shared memory whose code the thread runs at this moment, for another thread to read when this one is stuck.
 * It is a hint that costs two look-ups and two stores per call: plain stores, because whoever reads it does so seconds
 * later. Code that goes on after an `await`, or in a timer, stands outside of it.
 */
export class Spotlight {
  /** One 32-bit integer: the current mark. */
  readonly memory: SharedArrayBuffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  readonly #cell = new Int32Array(this.memory);
  readonly #ids = new Map<Owner, number>();
  #lastId = 0;

  /** Gives an owner its number, the same one each time. */
  enroll(owner: Owner): number {
    const known = this.#ids.get(owner);
    if (known !== undefined) return known;
    this.#ids.set(owner, ++this.#lastId);
    return this.#lastId;
  }

  forget(owner: Owner): void {
    this.#ids.delete(owner);
  }

  /** From now on code of `context` runs. Returns the mark of what ran before, for {@link turnBack}. */
  turnTo(context: CallContext | undefined): number {
    const before = this.#cell[0] ?? NOBODY;
    this.#cell[0] = context === undefined ? NOBODY : this.#mark(context);
    return before;
  }

  turnBack(mark: number): void {
    this.#cell[0] = mark;
  }

  #mark({ owner, phase }: CallContext): number {
    const id = this.#ids.get(owner);
    return id === undefined ? NOBODY : (id << PHASE_BITS) | (NUMBERS.get(phase) ?? 0);
  }
}

/** Reads a spotlight's memory, in whatever thread. `null`: nobody's code, as far as is known. */
export function readSpotlight(memory: SharedArrayBuffer): Marked | null {
  const mark = Atomics.load(new Int32Array(memory), 0);
  if (mark === NOBODY) return null;
  return { id: mark >> PHASE_BITS, phase: PHASES[mark & ((1 << PHASE_BITS) - 1)] ?? 'background' };
}
