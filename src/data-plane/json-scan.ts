import type { ScannableBytes } from './scan-memory.ts';

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
/** Letters in ASCII differ from their lower case in this bit alone. */
const LOWER = 0x20;
const E = 0x65;
const LITERALS: ReadonlyMap<number, string> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), word]),
);

/** One member of the outermost object. Its key and value are decoded when they are read: few are. */
export class Member {
  readonly #bytes: Buffer;
  readonly #keySpan: KeySpan;
  /** First byte of the value. */
  readonly start: number;
  /** The byte after the value's last. */
  readonly end: number;

  constructor(bytes: Buffer, keySpan: KeySpan, start: number, end: number) {
    this.#bytes = bytes;
    this.#keySpan = keySpan;
    this.start = start;
    this.end = end;
  }

  get key(): string {
    const { decoded, start, end } = this.#keySpan;
    return decoded ?? this.#bytes.toString('utf8', start, end);
  }

  /** The value as it is written. */
  get text(): string {
    return this.#bytes.toString('utf8', this.start, this.end);
  }

  /** True for the key `name`, in whichever case. @param name letters of ASCII in lower case */
  isCalled(name: string): boolean {
    const { decoded, start, end } = this.#keySpan;
    if (decoded !== null) return decoded.toLowerCase() === name;
    if (end - start !== name.length) return false;
    for (let at = 0; at < name.length; at++) {
      if (((this.#bytes[start + at] ?? 0) | LOWER) !== name.charCodeAt(at)) return false;
    }
    return true;
  }
}

/** Where a key stands, without its quotes. */
interface KeySpan {
  readonly start: number;
  readonly end: number;
  /** What it says; `null`: what stands there, there are no escapes in it. */
  readonly decoded: string | null;
}

/** Where things are in the bytes of a JSON object. It is valid as long as the bytes are. */
export interface JsonMap {
  /** The byte behind the brace that opens the object. */
  readonly openedAt: number;
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
 * what stands within strings, which are jumped over with a search in WebAssembly. A long prompt costs next to nothing that
 * way. Invalid escapes and control characters in strings are left to whoever reads them.
 *
 * The map tells what a parsed object no longer does: where a value stands, and whether a key was written twice, which
 * two parsers may read differently.
 *
 * @param maxDepth levels of nesting; 1 is a flat object
 * @throws JsonScanError for anything else than one object, nested no deeper than that
 */
export function mapJsonObject(bytes: ScannableBytes, maxDepth: number): JsonMap {
  return new JsonMapper(bytes, maxDepth).map();
}

/** Recursive descent; the depth is bounded, and so is the stack. */
class JsonMapper {
  readonly #source: ScannableBytes;
  /** With a zero behind the last, which is no part of any JSON. */
  readonly #bytes: Buffer;
  readonly #length: number;
  readonly #maxDepth: number;
  readonly #members: Member[] = [];
  #at = 0;
  #depth = 0;
  #memberCount = 0;

  constructor(source: ScannableBytes, maxDepth: number) {
    this.#source = source;
    this.#bytes = source.withZero;
    this.#length = source.length;
    this.#maxDepth = maxDepth;
  }

  map(): JsonMap {
    if (this.#peek() !== OPEN_BRACE) throw new JsonScanError('expected an object');
    const openedAt = this.#at + 1;
    this.#object();
    this.#peek();
    if (this.#at !== this.#length) throw malformed();
    return { openedAt, members: this.#members, memberCount: this.#memberCount };
  }

  /** The next byte that is no white space; zero at the end. */
  #peek(): number {
    let byte = this.#bytes[this.#at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = this.#bytes[++this.#at];
    return byte as number;
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
    const key = this.#depth === 1 ? this.#key() : null;
    if (key === null) this.#string();
    if (this.#peek() !== COLON) throw malformed();
    this.#at++;
    this.#memberCount++;
    this.#peek();
    const start = this.#at;
    this.#value();
    if (key !== null) this.#members.push(new Member(this.#bytes, key, start, this.#at));
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

  /** Keys are short: looking at each byte here is faster than a search. */
  #key(): KeySpan {
    const start = this.#at + 1;
    let end = start;
    let isEscaped = false;
    for (let byte = this.#bytes[end]; byte !== QUOTE; byte = this.#bytes[++end]) {
      if (end >= this.#length) throw malformed();
      if (byte !== BACKSLASH) continue;
      isEscaped = true;
      end++;
    }
    if (end >= this.#length) throw malformed();
    this.#at = end + 1;
    return { start, end, decoded: isEscaped ? unescaped(this.#bytes.toString('utf8', start, end)) : null };
  }

  #string(): void {
    const end = this.#source.endOfString(this.#at + 1);
    if (end === -1) throw malformed();
    this.#at = end;
  }

  #number(): void {
    if (this.#bytes[this.#at] === MINUS) this.#at++;
    if (this.#bytes[this.#at] === ZERO) this.#at++;
    else this.#digits();
    if (this.#bytes[this.#at] === POINT) {
      this.#at++;
      this.#digits();
    }
    if (((this.#bytes[this.#at] as number) | LOWER) === E) {
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

  #literal(first: number): void {
    const word = LITERALS.get(first);
    if (word === undefined) throw malformed();
    for (let letter = 0; letter < word.length; letter++, this.#at++) {
      if (this.#bytes[this.#at] !== word.charCodeAt(letter)) throw malformed();
    }
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function unescaped(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    throw malformed();
  }
}

function malformed(): JsonScanError {
  return new JsonScanError('not well-formed');
}
