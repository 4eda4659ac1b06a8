const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
/** `E` and `e` differ in this bit alone. */
const LOWER = 0x20;
const E = 0x65;
const LITERALS: ReadonlyMap<number, Buffer> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
);

/** One member of the outermost object. */
export interface Member {
  readonly key: string;
  /** First byte of the value. */
  readonly start: number;
  /** The byte after the value's last. */
  readonly end: number;
}

/** Where things are in the bytes of a JSON object. */
export interface JsonMap {
  /** The outermost object's members in order, repeated keys included. */
  readonly members: readonly Member[];
  /** Members of all objects at every depth, repeated keys included. */
  readonly memberCount: number;
}

/** The bytes are no JSON object. The message says why, in a form that may be shown to clients. */
export class JsonScanError extends Error {
  override readonly name = 'JsonScanError';
}

/**
 * Maps the bytes of a JSON object without making anything of its values: the grammar is checked (RFC 8259), but for
 * what stands within strings, which are jumped over with a native search. A long prompt costs next to nothing that
 * way. Invalid escapes and control characters in strings are left to whoever reads them.
 *
 * The map tells what a parsed object no longer does: where a value stands, and whether a key was written twice, which
 * two parsers may read differently.
 *
 * @param maxDepth levels of nesting; 1 is a flat object
 * @throws JsonScanError for anything else than one object, nested no deeper than that
 */
export function mapJsonObject(bytes: Buffer, maxDepth: number): JsonMap {
  return new JsonMapper(bytes, maxDepth).map();
}

/**
 * Where the JSON value that begins at `start` ends: the byte after its last.
 *
 * @throws JsonScanError when there is no value
 */
export function endOfValue(bytes: Buffer, start: number, maxDepth: number): number {
  return new JsonMapper(bytes, maxDepth, start).skip();
}

/** Recursive descent; the depth is bounded, and so is the stack. */
class JsonMapper {
  readonly #bytes: Buffer;
  readonly #maxDepth: number;
  readonly #members: Member[] = [];
  #at: number;
  #depth = 0;
  #memberCount = 0;

  constructor(bytes: Buffer, maxDepth: number, start: number = 0) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
    this.#at = start;
  }

  map(): JsonMap {
    if (this.#peek() !== OPEN_BRACE) throw new JsonScanError('expected an object');
    this.#object();
    if (this.#peek() !== undefined) throw malformed();
    return { members: this.#members, memberCount: this.#memberCount };
  }

  skip(): number {
    this.#value();
    return this.#at;
  }

  /** The next byte that is no white space. */
  #peek(): number | undefined {
    let byte = this.#bytes[this.#at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = this.#bytes[++this.#at];
    return byte;
  }

  #value(): void {
    const byte = this.#peek();
    if (byte === QUOTE) this.#string();
    else if (byte === OPEN_BRACE) this.#object();
    else if (byte === OPEN_BRACKET) this.#array();
    else if (byte === MINUS || isDigit(byte)) this.#number();
    else this.#literal(byte);
  }

  #object(): void {
    this.#enter();
    if (this.#peek() === CLOSE_BRACE) {
      this.#leave();
      return;
    }
    while (true) {
      this.#member();
      const byte = this.#peek();
      this.#at++;
      if (byte === CLOSE_BRACE) break;
      if (byte !== COMMA) throw malformed();
    }
    this.#depth--;
  }

  #member(): void {
    if (this.#peek() !== QUOTE) throw malformed();
    const keyStart = this.#at;
    this.#string();
    const keyEnd = this.#at;
    if (this.#peek() !== COLON) throw malformed();
    this.#at++;
    this.#memberCount++;
    this.#peek();
    const start = this.#at;
    this.#value();
    if (this.#depth === 1) {
      this.#members.push({ key: decodeString(this.#bytes, keyStart, keyEnd), start, end: this.#at });
    }
  }

  #array(): void {
    this.#enter();
    if (this.#peek() === CLOSE_BRACKET) {
      this.#leave();
      return;
    }
    while (true) {
      this.#value();
      const byte = this.#peek();
      this.#at++;
      if (byte === CLOSE_BRACKET) break;
      if (byte !== COMMA) throw malformed();
    }
    this.#depth--;
  }

  #enter(): void {
    if (++this.#depth > this.#maxDepth) {
      throw new JsonScanError(`nested deeper than ${this.#maxDepth} levels`);
    }
    this.#at++;
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #string(): void {
    let quote = this.#bytes.indexOf(QUOTE, this.#at + 1);
    while (isEscaped(this.#bytes, quote)) quote = this.#bytes.indexOf(QUOTE, quote + 1);
    if (quote === -1) throw malformed();
    this.#at = quote + 1;
  }

  #number(): void {
    if (this.#bytes[this.#at] === MINUS) this.#at++;
    if (this.#bytes[this.#at] === ZERO) this.#at++;
    else this.#digits();
    if (this.#bytes[this.#at] === POINT) {
      this.#at++;
      this.#digits();
    }
    if (((this.#bytes[this.#at] ?? 0) | LOWER) === E) {
      this.#at++;
      const sign = this.#bytes[this.#at];
      if (sign === PLUS || sign === MINUS) this.#at++;
      this.#digits();
    }
  }

  #digits(): void {
    if (!isDigit(this.#bytes[this.#at])) throw malformed();
    while (isDigit(this.#bytes[this.#at])) this.#at++;
  }

  #literal(first: number | undefined): void {
    const word = first === undefined ? undefined : LITERALS.get(first);
    if (word === undefined) throw malformed();
    const end = this.#at + word.length;
    if (end > this.#bytes.length || this.#bytes.compare(word, 0, word.length, this.#at, end) !== 0)
      throw malformed();
    this.#at = end;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

/** @param at of a quote, -1 for none */
function isEscaped(bytes: Buffer, at: number): boolean {
  let backslashes = 0;
  while (bytes[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

function decodeString(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start + 1, end - 1);
  if (!text.includes('\\')) return text;
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw malformed();
  }
}

function malformed(): JsonScanError {
  return new JsonScanError('not well-formed');
}
