import type { BodyBytes } from './body-bytes.ts';

const PAGE_BYTES = 65_536;
/** The search reads as much at once, and the end may be anywhere in it. */
const BLOCK_BYTES = 64;
/** Memory that is kept for the next body; longer ones are rare. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** What is used of WebAssembly; Node's types leave it to those of browsers. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    readonly exports: unknown;
    constructor(module: Module);
  }
}

interface Searcher {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): void };
  endOfString(at: number, end: number): number;
}

/** `string-end.wat`, assembled; a test sees to it that the two are the same. */
export const SEARCHER_BASE64: string =
  'AGFzbQEAAAABBwFgAn9/AX8DAgEABQMBAAEHGAIGbWVtb3J5AgALZW5kT2ZTdHJpbmcAAAq9AQG6AQMBewF+An9BIv0PIQIC' +
  'QANAIAAgAU4NASAA/QAEACAC/SP9ZK0gAP0ABBAgAv0j/WStQhCGhCAA/QAEICAC/SP9ZK1CIIYgAP0ABDAgAv0j/WStQjCG' +
  'hIQhAwJAA0AgA1ANASAAIAN6p2ohBCAEIQUDQCAFQQFrIQUgBS0AAEHcAEYNAAsgBCAFa0EBcQRAIAQgAU4NBCAEQQFqDwsg' +
  'AyADQgF9gyEDDAALCyAAQcAAaiEADAALC0F/Cw==';

const SEARCHER = new WebAssembly.Module(Buffer.from(SEARCHER_BASE64, 'base64'));

/** Bytes of a body, in memory that WebAssembly can search. */
export class ScannableBytes {
  readonly #searcher: Searcher = new WebAssembly.Instance(SEARCHER).exports as Searcher;
  /** All of the memory: behind {@link length} is a zero, and then what earlier bodies have left. */
  #memory: Buffer = Buffer.from(this.#searcher.memory.buffer);
  #length = 0;

  /** Puts the bytes of `pieces` here, one behind the other, in place of what was here. */
  fill(pieces: readonly Buffer[], length: number): void {
    this.#reserve(length + BLOCK_BYTES);
    let at = 0;
    for (const piece of pieces) at += piece.copy(this.#memory, at);
    this.#memory[length] = 0;
    this.#length = length;
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes, and a zero behind them: to look for their end at each byte would be a second comparison. */
  get withZero(): Buffer {
    return this.#memory;
  }

  /** The bytes themselves. */
  get view(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  /** The byte behind the quote that ends the JSON string whose text begins at `at`; -1 when there is none. */
  endOfString(at: number): number {
    return this.#searcher.endOfString(at, this.#length);
  }

  #reserve(bytes: number): void {
    const missing = bytes - this.#memory.length;
    if (missing <= 0) return;
    this.#searcher.memory.grow(Math.ceil(missing / PAGE_BYTES));
    this.#memory = Buffer.from(this.#searcher.memory.buffer);
  }
}

/**
 * Memory in which bodies are looked at as a whole, whatever pieces they came in. It is used again for every body:
 * memory that was just in use is a multiple faster than new memory.
 */
export class ScanMemory {
  readonly #kept = new ScannableBytes();

  /** The bytes, in one piece. Valid until the next call. */
  gather({ pieces, length }: BodyBytes): ScannableBytes {
    const bytes = length <= MAX_KEPT_BYTES ? this.#kept : new ScannableBytes();
    bytes.fill(pieces, length);
    return bytes;
  }
}
