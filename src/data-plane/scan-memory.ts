/** Bytes that are kept for the next body; longer ones are rare. */
const MAX_KEPT_BYTES = 1024 * 1024;

/**
 * Memory in which bodies that came in pieces are looked at as a whole. It is used again for every body: memory that was
 * just in use is a multiple faster than new memory.
 */
export class ScanMemory {
  #memory: Buffer = Buffer.alloc(0);

  /** The bytes of `pieces`, one behind the other. Valid until the next call. */
  gather(pieces: readonly Buffer[]): Buffer {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    const memory = this.#ofSize(length);
    let at = 0;
    for (const piece of pieces) at += piece.copy(memory, at);
    return memory.subarray(0, length);
  }

  #ofSize(length: number): Buffer {
    if (length <= this.#memory.length) return this.#memory;
    const memory = Buffer.allocUnsafeSlow(length);
    if (length <= MAX_KEPT_BYTES) this.#memory = memory;
    return memory;
  }
}
