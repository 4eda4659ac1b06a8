/** Characters that a match may have. */
const MAX_LENGTH = 1000;
/** Ways in which a pattern may match at one place. Each of them may have to be tried there. */
const MAX_WAYS = 1000;

interface Size {
  readonly length: number;
  readonly ways: number;
  /** It holds quantifiers or alternatives: repeated, its ways would multiply with every turn. */
  readonly isVaried: boolean;
}

const NOTHING: Size = { length: 0, ways: 1, isVaried: false };
const ONE: Size = { length: 1, ways: 1, isVaried: false };

/**
 * Compiles a pattern of the operator's that is bounded in length and work, so that no text can hold up the gateway
 * (catastrophic backtracking), and no match is longer than what a stream holds back.
 *
 * @throws Error that says what is wrong with the pattern, and what to write instead
 */
export function compileBounded(source: string, ignoreCase: boolean): RegExp {
  const pattern = new RegExp(source, ignoreCase ? 'giu' : 'gu');
  const { length, ways } = new PatternReader(source).read();
  if (length > MAX_LENGTH)
    throw new Error(`it matches up to ${length} characters, expected at most ${MAX_LENGTH}`);
  if (ways > MAX_WAYS) {
    throw new Error(
      `it can match in ${ways} ways at one place, expected at most ${MAX_WAYS}: narrow its quantifiers`,
    );
  }
  return pattern;
}

/** Reads a pattern that the engine has accepted with the flag `u`: its syntax is right, and nothing in it is ambiguous. */
class PatternReader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): Size {
    return this.#alternatives();
  }

  #alternatives(): Size {
    let all = this.#sequence();
    while (this.#take('|')) {
      const next = this.#sequence();
      all = { length: Math.max(all.length, next.length), ways: all.ways + next.ways, isVaried: true };
    }
    return all;
  }

  #sequence(): Size {
    let all = NOTHING;
    while (this.#at < this.#source.length && !this.#isNext('|') && !this.#isNext(')')) {
      const next = this.#term();
      all = {
        length: all.length + next.length,
        ways: all.ways * next.ways,
        isVaried: all.isVaried || next.isVaried,
      };
    }
    return all;
  }

  #term(): Size {
    const atom = this.#atom();
    const [min, max] = this.#quantifier() ?? [1, 1];
    if (max === Number.POSITIVE_INFINITY) {
      throw new Error(
        'it has a quantifier without an upper bound, expected {1,20} or the like instead of *, + and {1,}',
      );
    }
    if (max > 1 && atom.isVaried) {
      throw new Error(
        'it repeats a group that holds quantifiers or alternatives, expected plain characters in it',
      );
    }
    return {
      length: atom.length * max,
      ways: atom.ways * (max - min + 1),
      isVaried: atom.isVaried || max !== min,
    };
  }

  #atom(): Size {
    if (this.#take('(')) return this.#group();
    if (this.#take('\\')) return this.#escape();
    if (this.#take('[')) return this.#class();
    if (this.#take('^') || this.#take('$')) return NOTHING;
    this.#at += this.#source.codePointAt(this.#at) === undefined ? 1 : this.#charLength();
    return ONE;
  }

  #group(): Size {
    const opening = /^\?(?:<?[=!]|<[^>]*>|[a-z-]*:)/.exec(this.#source.slice(this.#at))?.[0] ?? '';
    this.#at += opening.length;
    const inner = this.#alternatives();
    this.#take(')');
    // Looking around takes no characters, but as much work.
    return /^\?<?[=!]/.test(opening) ? { ...inner, length: 0 } : inner;
  }

  #escape(): Size {
    const rest = this.#source.slice(this.#at);
    if (/^(?:[1-9]|k<)/.test(rest))
      throw new Error('it refers back to a group, expected a pattern without \\1 or \\k');
    const found = /^(?:[pPu]\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[a-zA-Z]|[\s\S])/u.exec(rest)?.[0] ?? '';
    this.#at += found.length;
    return found === 'b' || found === 'B' ? NOTHING : ONE;
  }

  #class(): Size {
    while (!this.#take(']')) this.#at += this.#isNext('\\') ? 2 : 1;
    return ONE;
  }

  #quantifier(): readonly [min: number, max: number] | null {
    const found = /^(?:[*+?]|\{(\d+)(,(\d*))?\})/.exec(this.#source.slice(this.#at));
    if (found === null) return null;
    this.#at += found[0].length;
    this.#take('?');
    const [text, min, comma, max] = found;
    if (text === '?') return [0, 1];
    if (min === undefined) return [text === '*' ? 0 : 1, Number.POSITIVE_INFINITY];
    if (comma === undefined) return [Number(min), Number(min)];
    return [Number(min), max === undefined || max === '' ? Number.POSITIVE_INFINITY : Number(max)];
  }

  #charLength(): number {
    return (this.#source.codePointAt(this.#at) as number) > 0xffff ? 2 : 1;
  }

  #isNext(char: string): boolean {
    return this.#source[this.#at] === char;
  }

  #take(char: string): boolean {
    if (!this.#isNext(char)) return false;
    this.#at++;
    return true;
  }
}
