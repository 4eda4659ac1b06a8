import type { StreamFraming } from '../framing.ts';
import type { Assembled } from './assembled.ts';
import { asHooked, asSent, type Entry } from './entry.ts';
import type { Parts, Piece } from './parts.ts';

/** An event that carries nothing for hooks and evaluators: a comment. */
type Place = { readonly raw: Buffer; readonly entry: Entry | null };

/**
 * The events of a stream between hooks and client, in their order. One leaves when all before it have left, no hook
 * holds a piece of it, and evaluators have judged what must not leave in part.
 */
export class EventLine {
  readonly #parts: Parts;
  readonly #framing: StreamFraming;
  readonly #assembled: Assembled | null;
  /** Characters that stay behind the end; `null`: nobody judges. */
  readonly #window: number | null;
  #places: Place[] = [];
  /** How many of them no hook holds any more. */
  #settled = 0;
  /** Some text has left. */
  #hasBegun = false;

  constructor(parts: Parts, framing: StreamFraming, assembled: Assembled | null, window: number | null) {
    this.#parts = parts;
    this.#framing = framing;
    this.#assembled = assembled;
    this.#window = window;
  }

  push(raw: Buffer, entry: Entry | null): void {
    this.#places.push({ raw, entry });
    this.settle();
  }

  /** Passes over what no hook holds any more; those who read the whole get it. */
  settle(): void {
    for (; this.#settled < this.#places.length; this.#settled++) {
      const { entry } = this.#places[this.#settled] as Place;
      if (entry === null) continue;
      if (entry.pieces.some(({ isHeld }) => isHeld)) return;
      if (!entry.isDropped) this.#assembled?.add(asHooked(entry));
    }
  }

  /** True when something could leave if it were judged now. */
  isJudgementDue(): boolean {
    const window = this.#window;
    if (window === null || window === Number.POSITIVE_INFINITY) return false;
    const piece = this.#firstText();
    if (piece === null) return false;
    const { choice } = piece.part;
    const unjudged = choice.length - choice.judged;
    if (choice.isFinished && this.#parts.areSeveralChoices) return unjudged > 0;
    return unjudged > 0 && unjudged >= window / STEPS && choice.length - piece.mark >= window;
  }

  /**
   * Takes what may leave.
   *
   * @param isOver nothing more will come, and all has been judged
   */
  release(isOver: boolean): Buffer[] {
    if (!isOver && !this.#hasBegun && !this.#mayBegin()) return [];
    const released: Buffer[] = [];
    let count = 0;
    for (; count < this.#settled; count++) {
      const { raw, entry } = this.#places[count] as Place;
      if (entry === null) released.push(raw);
      else if (isOver || this.#mayLeave(entry)) this.#send(raw, entry, released);
      else break;
    }
    this.#places = count === this.#places.length ? [] : this.#places.slice(count);
    this.#settled -= count;
    return released;
  }

  #send(raw: Buffer, entry: Entry, released: Buffer[]): void {
    const sent = asSent(entry);
    for (const { part, end, isRepeat } of entry.pieces) if (!isRepeat) part.left = end;
    if (sent === entry.chunk) released.push(raw);
    else if (sent !== null) released.push(this.#framing.encode(sent));
  }

  /** While no text has left, a refusal can still be an answer of its own: nothing leaves before the first text. */
  #mayBegin(): boolean {
    if (this.#window === null) return true;
    const piece = this.#firstText();
    this.#hasBegun = piece !== null && this.#isSafe(piece, this.#window);
    return this.#hasBegun;
  }

  #mayLeave(entry: Entry): boolean {
    if (entry.isLast) return false;
    const window = this.#window;
    return window === null || entry.pieces.every((piece) => this.#isSafe(piece, window));
  }

  #isSafe(piece: Piece, window: number): boolean {
    const { choice } = piece.part;
    if (choice.judged < piece.mark) return false;
    return choice.judged - piece.mark >= window || (choice.isFinished && this.#parts.areSeveralChoices);
  }

  #firstText(): Piece | null {
    for (const { entry } of this.#places) {
      const piece = entry?.pieces.find((each) => each.isHeld || each.end > each.start);
      if (piece !== undefined) return piece.isHeld ? null : piece;
    }
    return null;
  }
}

/** A window is judged in that many steps, so that a long stream is not judged again for every token. */
const STEPS = 8;
