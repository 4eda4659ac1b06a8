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

/** A pair of states that one text can reach, with the text's last character. */
interface Reached {
  readonly a: number;
  readonly b: number;
  readonly read: string;
  readonly from: Reached | null;
}

/**
 * A shortest text that both automata accept, or `null`: the product of the two, searched breadth first. Takes at most
 * the product of their sizes.
 */
export function findCommonText(a: Automaton, b: Automaton): string | null {
  const queue: Reached[] = [{ a: a.start, b: b.start, read: '', from: null }];
  const seen = new Set<number>([pairId(a, a.start, b.start)]);
  const visit = (next: Reached): void => {
    const id = pairId(a, next.a, next.b);
    if (seen.has(id)) return;
    seen.add(id);
    queue.push(next);
  };
  for (let head = 0; head < queue.length; head++) {
    const pair = queue[head];
    if (pair === undefined) break;
    if (pair.a === a.end && pair.b === b.end) return spell(pair);
    for (const next of follow(pair, a.states[pair.a], b.states[pair.b])) visit(next);
  }
  return null;
}

function pairId(automaton: Automaton, a: number, b: number): number {
  return b * automaton.states.length + a;
}

function* follow(pair: Reached, a: State | undefined, b: State | undefined): Generator<Reached> {
  if (a === undefined || b === undefined) return;
  for (const to of a.free) yield { a: to, b: pair.b, read: '', from: pair };
  for (const to of b.free) yield { a: pair.a, b: to, read: '', from: pair };
  for (const left of a.edges) {
    for (const right of b.edges) {
      const read = commonCharacter(left.reads, right.reads);
      if (read !== null) yield { a: left.to, b: right.to, read, from: pair };
    }
  }
}

function commonCharacter(a: Reads, b: Reads): string | null {
  if (typeof a === 'object') return accepts(b, a.character) ? a.character : null;
  if (typeof b === 'object') return accepts(a, b.character) ? b.character : null;
  return 'x';
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
