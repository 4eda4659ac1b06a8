import { inOne } from '../wire/body.ts';

/** Shorter ones are no burden, and to free one costs half a microsecond. */
const MIN_FREED_BYTES = 4_096;

/**
 * The bytes of a request's body. Those of long prompts are freed as soon as their call is over. Node keeps them outside
 * of V8's heap, where V8 hardly notices them: left to the garbage collector they pile up until it collects everything,
 * and each prompt is read into memory that no cache holds.
 *
 * @example
 * ```ts
 * const bytes = new BodyBytes([Buffer.from(prompt)], true);
 * send(bytes.lend(), () => bytes.takeBack());
 * bytes.release();
 * ```
 */
export class BodyBytes {
  readonly length: number;
  #pieces: readonly Buffer[];
  #isOurs: boolean;
  #lent = 0;
  #isReleased = false;

  /** @param isOurs nobody else holds `pieces`: their memory may be freed */
  constructor(pieces: readonly Buffer[], isOurs: boolean) {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    this.length = length;
    this.#pieces = pieces;
    this.#isOurs = isOurs;
  }

  /**
   * For whoever reads them at once.
   *
   * @throws Error after {@link release}
   */
  get pieces(): readonly Buffer[] {
    if (this.#isReleased) throw new Error('The body was read for the first time when its call was over');
    return this.#pieces;
  }

  /** All of them in one. */
  get whole(): Buffer {
    const { pieces } = this;
    const whole = inOne(pieces);
    if (pieces.length > 1) {
      this.#free();
      this.#pieces = [whole];
      this.#isOurs = true;
    }
    return whole;
  }

  /** For whoever reads them later; they stay until {@link takeBack}. */
  lend(): readonly Buffer[] {
    const { pieces } = this;
    this.#lent++;
    return pieces;
  }

  takeBack(): void {
    this.#lent--;
    if (this.#isReleased) this.#free();
  }

  /** Nobody reads them any more but those to whom they are lent. */
  release(): void {
    this.#isReleased = true;
    this.#free();
  }

  #free(): void {
    if (this.#lent > 0 || !this.#isOurs) return;
    for (const piece of this.#pieces) free(piece);
    this.#pieces = [];
  }
}

/** Where something stands in a body. */
export interface Span {
  /** Its first byte. */
  readonly start: number;
  /** The byte after its last. */
  readonly end: number;
}

/** The bytes of `pieces` with others in place of those in `span`; none are copied. */
export function splice(pieces: readonly Buffer[], { start, end }: Span, replacement: Buffer): Buffer[] {
  const spliced: Buffer[] = [];
  let isReplaced = false;
  let at = 0;
  for (const piece of pieces) {
    if (at < start) spliced.push(piece.subarray(0, start - at));
    at += piece.length;
    if (!isReplaced && at >= start) {
      spliced.push(replacement);
      isReplaced = true;
    }
    if (at > end) spliced.push(piece.subarray(Math.max(0, piece.length - (at - end))));
  }
  return spliced;
}

/** Memory that is shared with other buffers is left alone. */
function free(piece: Buffer): void {
  const { buffer } = piece;
  if (piece.length < MIN_FREED_BYTES || piece.length !== buffer.byteLength) return;
  // What is transferred is detached at once, whatever still refers to it; of length 0, nothing of it is kept.
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
