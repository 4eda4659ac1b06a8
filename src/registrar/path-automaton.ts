/** What one step may read: one character (in either case), any but `/`, or any. */
type Reads = { readonly character: string } | 'segment' | 'any';

interface Edge {
  readonly reads: Reads;
  readonly to: number;
}

interface State {
  readonly edges: Edge[];
  /** States that are reached without reading. */
  readonly free: number[];
}

/** A nondeterministic automaton over UTF-16 code units, the unit in which Express's regular expressions match too. */
export interface Automaton {
  readonly states: readonly State[];
  readonly start: number;
  readonly end: number;
}

/** Builds an {@link Automaton} from left to right: every method adds to a state and returns the state behind it. */
export class AutomatonBuilder {
  readonly #states: State[] = [];
  readonly start: number = this.#add();

  text(from: number, text: string): number {
    let state = from;
    for (let index = 0; index < text.length; index++) {
      state = this.#connect(state, { character: text.charAt(index) }, this.#add());
    }
    return state;
  }

  oneOrMore(from: number, reads: 'segment' | 'any'): number {
    const state = this.#connect(from, reads, this.#add());
    return this.#connect(state, reads, state);
  }

  /** What `part` adds, or nothing. */
  optional(from: number, part: (from: number) => number): number {
    const end = this.#add();
    this.#skip(part(from), end);
    this.#skip(from, end);
    return end;
  }

  build(end: number): Automaton {
    return { states: this.#states, start: this.start, end };
  }

  #add(): number {
    return this.#states.push({ edges: [], free: [] }) - 1;
  }

  #connect(from: number, reads: Reads, to: number): number {
    this.#states[from]?.edges.push({ reads, to });
    return to;
  }

  #skip(from: number, to: number): void {
    this.#states[from]?.free.push(to);
  }
}

/** The texts that both automata accept. Has at most the product of their sizes. */
export function intersect(a: Automaton, b: Automaton): Automaton {
  const states: State[] = [];
  const pairs: { readonly a: number; readonly b: number }[] = [];
  const known = new Map<number, number>();
  const stateOf = (left: number, right: number): number => {
    const id = right * a.states.length + left;
    let state = known.get(id);
    if (state === undefined) {
      state = states.push({ edges: [], free: [] }) - 1;
      pairs.push({ a: left, b: right });
      known.set(id, state);
    }
    return state;
  };
  const start = stateOf(a.start, b.start);
  const end = stateOf(a.end, b.end);
  for (let index = 0; index < states.length; index++) {
    const [state, pair] = [states[index], pairs[index]];
    const [left, right] = [a.states[pair?.a ?? -1], b.states[pair?.b ?? -1]];
    if (state === undefined || pair === undefined || left === undefined || right === undefined) continue;
    for (const to of left.free) state.free.push(stateOf(to, pair.b));
    for (const to of right.free) state.free.push(stateOf(pair.a, to));
    for (const one of left.edges) {
      for (const other of right.edges) {
        const reads = readByBoth(one.reads, other.reads);
        if (reads !== null) state.edges.push({ reads, to: stateOf(one.to, other.to) });
      }
    }
  }
  return { states, start, end };
}

/** A state, and how a text reaches it: its last character, and where it was before. */
interface Reached {
  readonly state: number;
  readonly read: string;
  readonly from: Reached | null;
}

/** One of the shortest texts that an automaton accepts, or `null` when it accepts none: a search breadth first. */
export function findText(automaton: Automaton): string | null {
  const seen = new Set<number>([automaton.start]);
  let reached: readonly Reached[] = [{ state: automaton.start, read: '', from: null }];
  while (reached.length > 0) {
    const all = withoutReading(automaton, reached, seen);
    const last = all.find(({ state }) => state === automaton.end);
    if (last !== undefined) return spell(last);
    const next: Reached[] = [];
    for (const from of all) {
      for (const { reads, to } of automaton.states[from.state]?.edges ?? []) {
        if (seen.has(to)) continue;
        seen.add(to);
        next.push({ state: to, read: typeof reads === 'object' ? reads.character : 'x', from });
      }
    }
    reached = next;
  }
  return null;
}

/** These states, and all that are reached from them without reading. */
function withoutReading(automaton: Automaton, reached: readonly Reached[], seen: Set<number>): Reached[] {
  const all = [...reached];
  for (let index = 0; index < all.length; index++) {
    const from = all[index];
    if (from === undefined) break;
    for (const state of automaton.states[from.state]?.free ?? []) {
      if (seen.has(state)) continue;
      seen.add(state);
      all.push({ state, read: '', from });
    }
  }
  return all;
}

function readByBoth(a: Reads, b: Reads): Reads | null {
  if (typeof a === 'object') return accepts(b, a.character) ? a : null;
  if (typeof b === 'object') return accepts(a, b.character) ? b : null;
  return a === 'any' ? b : a;
}

function accepts(reads: Reads, character: string): boolean {
  if (reads === 'any') return true;
  if (reads === 'segment') return character !== '/';
  return foldCase(reads.character) === foldCase(character);
}

/** As regular expressions with the flag `i` and without `u` fold a code unit (ECMA-262, Canonicalize). */
function foldCase(character: string): string {
  const upper = character.toUpperCase();
  if (upper.length !== 1) return character;
  return character.charCodeAt(0) >= 128 && upper.charCodeAt(0) < 128 ? character : upper;
}

function spell(last: Reached): string {
  const characters: string[] = [];
  for (let pair: Reached | null = last; pair !== null; pair = pair.from) characters.push(pair.read);
  return characters.reverse().join('');
}
