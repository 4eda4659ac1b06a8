import { Http1Error } from './errors.ts';

const LF = 0x0a;
const CR = 0x0d;
const SEMICOLON = 0x3b;
/** RFC 9112, section 7.1.1, without the white space that is there for old senders. */
const EXTENSIONS =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)+$/;
/** Section 7.1.2: a field line like those of the head. */
const TRAILER = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*$/;

/** Twelve hexadecimal digits: more than any memory, less than a number that JavaScript would round. */
const MAX_SIZE_DIGITS = 12;
/** Bytes of chunk extensions and trailers, which say nothing to us, in one body. */
const MAX_IGNORED_BYTES = 16_384;

type State =
  | 'size'
  | 'extension'
  | 'size end'
  | 'data'
  | 'data end'
  | 'data end LF'
  | 'trailer'
  | 'trailer text'
  | 'trailer end'
  | 'last end'
  | 'over';

/** Takes the data out of a body in chunks (RFC 9112, section 7.1). Extensions and trailers are read past. */
export class ChunkedBody {
  #state: State = 'size';
  #digits = 0;
  /** What is left of the chunk, or what is read of its size. */
  #left = 0;
  #ignored = 0;
  /** What has come of an extension or a trailer. */
  #line = '';
  /** Bytes that {@link read} has put into its target. */
  written = 0;

  /** True when the last chunk has come, and its trailer. */
  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** For the next body. */
  reset(): void {
    this.#state = 'size';
    this.#digits = 0;
    this.#left = 0;
    this.#ignored = 0;
    this.#line = '';
  }

  /**
   * Reads `bytes` from `start` to `end`, or to the end of the body, and copies the data to the beginning of `target`.
   *
   * @param target has room for all of it
   * @returns the place behind what was read
   * @throws Http1Error `HTTP1_INVALID_RESPONSE`
   */
  read(bytes: Buffer, start: number, end: number, target: Buffer): number {
    let at = start;
    this.written = 0;
    while (at < end && this.#state !== 'over') {
      if (this.#state === 'data') at = this.#copy(bytes, at, end, target);
      else this.#step(bytes[at++] as number);
    }
    return at;
  }

  #copy(bytes: Buffer, at: number, end: number, target: Buffer): number {
    const length = Math.min(this.#left, end - at);
    bytes.copy(target, this.written, at, at + length);
    this.written += length;
    this.#left -= length;
    if (this.#left === 0) this.#state = 'data end';
    return at + length;
  }

  /** One byte of what stands between data. */
  #step(byte: number): void {
    switch (this.#state) {
      case 'size':
        this.#size(byte);
        return;
      case 'extension':
        if (byte === CR) this.#endLine(EXTENSIONS, 'size end');
        else this.#ignore(byte);
        return;
      case 'size end':
        this.#expect(byte, LF, this.#left === 0 ? 'trailer' : 'data');
        return;
      case 'data end':
        this.#expect(byte, CR, 'data end LF');
        return;
      case 'data end LF':
        this.#expect(byte, LF, 'size');
        this.#digits = 0;
        return;
      case 'trailer':
        if (byte === CR) this.#state = 'last end';
        else this.#beginLine(byte, 'trailer text');
        return;
      case 'trailer text':
        if (byte === CR) this.#endLine(TRAILER, 'trailer end');
        else this.#ignore(byte);
        return;
      case 'trailer end':
        this.#expect(byte, LF, 'trailer');
        return;
      default:
        this.#expect(byte, LF, 'over');
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit === -1) {
      if (this.#digits === 0) throw invalid();
      if (byte === CR) this.#state = 'size end';
      else if (byte === SEMICOLON) this.#beginLine(byte, 'extension');
      else throw invalid();
      return;
    }
    if (++this.#digits > MAX_SIZE_DIGITS) throw invalid();
    this.#left = this.#left * 16 + digit;
  }

  #beginLine(byte: number, state: State): void {
    this.#state = state;
    this.#ignore(byte);
  }

  /** Text that nobody reads. */
  #ignore(byte: number): void {
    if (++this.#ignored > MAX_IGNORED_BYTES) throw invalid();
    this.#line += String.fromCharCode(byte);
  }

  /** What is no extension or no trailer may be where another reader sees a chunk, or the end. */
  #endLine(form: RegExp, next: State): void {
    if (!form.test(this.#line)) throw invalid();
    this.#line = '';
    this.#state = next;
  }

  #expect(byte: number, expected: number, next: State): void {
    if (byte !== expected) throw invalid();
    this.#state = next;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function invalid(): Http1Error {
  return new Http1Error('HTTP1_INVALID_RESPONSE', 'Invalid response: its chunks are not those of HTTP/1.1');
}
