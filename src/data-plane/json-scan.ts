const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;

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
  /** Nesting: 1 for a flat object. */
  readonly depth: number;
}

/**
 * Maps the bytes of a JSON object that `JSON.parse` has accepted: validity is its business, and the map is wrong for
 * any other text. Strings are jumped over with `indexOf`, so that a long prompt costs one native search and no loop.
 *
 * The map tells what a parsed object no longer does: where a value stands, and whether a key was written twice, which
 * two parsers may read differently.
 */
export function mapJsonObject(bytes: Buffer): JsonMap {
  return new JsonMapper(bytes).map();
}

class JsonMapper {
  readonly #bytes: Buffer;
  readonly #members: Member[] = [];
  #at = 0;
  #depth = 0;
  #deepest = 0;
  #memberCount = 0;
  #key = '';
  #valueStart = -1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  map(): JsonMap {
    const { length } = this.#bytes;
    while (this.#at < length) this.#step(this.#bytes[this.#at] as number);
    return { members: this.#members, memberCount: this.#memberCount, depth: this.#deepest };
  }

  #step(byte: number): void {
    if (byte === QUOTE) {
      this.#string();
      return;
    }
    if (byte === COLON) this.#colon();
    else if (byte === COMMA) this.#endOfValue();
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET)
      this.#deepest = Math.max(this.#deepest, ++this.#depth);
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#endOfValue();
      this.#depth--;
    }
    this.#at++;
  }

  #string(): void {
    const start = this.#at;
    this.#at = endOfString(this.#bytes, start);
    if (this.#depth === 1 && this.#valueStart === -1) this.#key = decodeString(this.#bytes, start, this.#at);
  }

  #colon(): void {
    this.#memberCount++;
    if (this.#depth !== 1) return;
    let at = this.#at + 1;
    while ((this.#bytes[at] as number) <= SPACE) at++;
    this.#valueStart = at;
  }

  #endOfValue(): void {
    if (this.#depth !== 1 || this.#valueStart === -1) return;
    let end = this.#at;
    while ((this.#bytes[end - 1] as number) <= SPACE) end--;
    this.#members.push({ key: this.#key, start: this.#valueStart, end });
    this.#valueStart = -1;
  }
}

function endOfString(bytes: Buffer, start: number): number {
  let quote = bytes.indexOf(QUOTE, start + 1);
  while (isEscaped(bytes, quote)) quote = bytes.indexOf(QUOTE, quote + 1);
  return quote + 1;
}

function isEscaped(bytes: Buffer, at: number): boolean {
  let backslashes = 0;
  while (bytes[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

function decodeString(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start + 1, end - 1);
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}
