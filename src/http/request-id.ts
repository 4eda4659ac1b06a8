import { randomFillSync } from 'node:crypto';

/** Longest id taken over from a client. */
const MAX_LENGTH = 128;

/** RFC 9562, section 4: 16 bytes, 36 characters. */
const UUID_BYTES = 16;
const UUID_LENGTH = 36;
/** Where the dashes stand, by the number of bytes written before. */
const DASH_BEFORE: ReadonlySet<number> = new Set([4, 6, 8, 10]);
const DASH = 0x2d;
const DIGITS: Buffer = Buffer.from('0123456789abcdef');
const STOCK = 128;

/**
 * Ids of requests. Those that the gateway makes are UUIDs of version 4, made many at once: as a text of its own each
 * costs as much as the authentication of a key.
 */
export class RequestIds {
  readonly #random: Buffer = Buffer.alloc(STOCK * UUID_BYTES);
  readonly #digits: Buffer = Buffer.alloc(STOCK * UUID_LENGTH);
  #next: number = STOCK;

  /**
   * The id of a request: the client's `x-request-id` if it is sane (1 to 128 letters, digits and `. _ : -`, so that it
   * can stand in a header, a log line or a file name as it is), else a new UUID. See README.md, "Paths".
   */
  of(fromClient: string | string[] | undefined): string {
    return typeof fromClient === 'string' && isSane(fromClient) ? fromClient : this.#make();
  }

  #make(): string {
    if (this.#next === STOCK) this.#fill();
    const start = this.#next++ * UUID_LENGTH;
    // A string of its own: a slice of a longer one would be hashed, and kept, with all of it.
    return this.#digits.toString('latin1', start, start + UUID_LENGTH);
  }

  #fill(): void {
    randomFillSync(this.#random);
    let to = 0;
    for (let from = 0; from < this.#random.length; from += UUID_BYTES) to = this.#write(from, to);
    this.#next = 0;
  }

  #write(from: number, start: number): number {
    const bytes = this.#random;
    // Section 5.4: version and variant.
    bytes[from + 6] = ((bytes[from + 6] as number) & 0x0f) | 0x40;
    bytes[from + 8] = ((bytes[from + 8] as number) & 0x3f) | 0x80;
    let to = start;
    for (let at = 0; at < UUID_BYTES; at++) {
      const byte = bytes[from + at] as number;
      if (DASH_BEFORE.has(at)) this.#digits[to++] = DASH;
      this.#digits[to++] = DIGITS[byte >> 4] as number;
      this.#digits[to++] = DIGITS[byte & 0x0f] as number;
    }
    return to;
  }
}

function isSane(id: string): boolean {
  return id.length <= MAX_LENGTH && /^[\w.:-]+$/.test(id);
}
