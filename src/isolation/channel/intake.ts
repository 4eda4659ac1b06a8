import type { Duplex } from 'node:stream';
import { toError } from '../../errors.ts';
import { type Frame, FrameReader } from './frames.ts';

/** What the other end may take of one turn of the loop: its flood must not hold up everybody else. */
const TURN_MS = 0.25;
/** What Node reads at once. A shorter chunk was all there was: no other follows in this turn of the loop. */
const READ_BYTES = 65_536;
/** So much of its share it may save up: what comes in a burst is taken without a pause. */
const SAVED_MS = 5;

export interface IntakeOptions {
  /** The longest message, in bytes. */
  readonly messageBytes: number;
  /** Of the loop's time, what may be spent on taking frames: 0 to 1. Whoever sends more has to wait. */
  readonly share: number;
  /** Takes a frame. What it throws goes to `onRubbish`. */
  readonly take: (frame: Frame) => void;
  /** What came cannot be taken. The intake has to be stopped then. */
  readonly onRubbish: (reason: Error) => void;
}

/**
 * What comes out of a stream, as frames: so many in a turn of the loop as there is time for, the rest later. Nothing is
 * read meanwhile, so that who writes has to wait.
 */
export class Intake {
  readonly #duplex: Duplex;
  readonly #share: number;
  readonly #take: IntakeOptions['take'];
  readonly #onRubbish: IntakeOptions['onRubbish'];
  readonly #reader: FrameReader;
  /** Frames that are left to the next turns of the loop; nothing is read meanwhile. */
  #backlog: Frame[] = [];
  /** `performance.now()` at which no more frames are taken in this turn of the loop; `null`: none has been so far. */
  #turnEndsAt: number | null = null;
  /** Of the share, what has not been spent; below 0: the rest has to wait. */
  #savedMs = SAVED_MS;
  #savedAt = 0;
  #wait: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(duplex: Duplex, { messageBytes, share, take, onRubbish }: IntakeOptions) {
    this.#duplex = duplex;
    this.#share = share;
    this.#take = take;
    this.#onRubbish = onRubbish;
    this.#reader = new FrameReader(messageBytes);
    duplex.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  /** Takes nothing more, neither what waits nor what comes. */
  stop(): void {
    this.#isStopped = true;
    this.#backlog = [];
    clearTimeout(this.#wait);
  }

  #onData(chunk: Buffer): void {
    const isBehind = this.#backlog.length > 0;
    const begunAt = performance.now();
    try {
      this.#reader.push(chunk, (frame) => this.#onFrame(frame));
    } catch (error) {
      this.#onRubbish(toError(error));
    }
    this.#spend(begunAt);
    if (this.#backlog.length === 0) this.#endTurnAfter(chunk);
    else if (!isBehind) {
      this.#duplex.pause();
      this.#continueLater();
    }
  }

  /** Turns are told apart without the help of the loop where that is possible: an immediate has it poll once more. */
  #endTurnAfter(chunk: Buffer): void {
    if (chunk.length < READ_BYTES) this.#turnEndsAt = null;
    else setImmediate(Intake.#endTurn, this);
  }

  #onFrame(frame: Frame): void {
    if (this.#isStopped) return;
    if (this.#backlog.length > 0 || !this.#hasTime()) this.#backlog.push(frame);
    else this.#take(frame);
  }

  readonly #onBacklog = (): void => {
    const backlog = this.#backlog;
    const begunAt = performance.now();
    this.#turnEndsAt = null;
    let taken = 0;
    try {
      while (taken < backlog.length && !this.#isStopped && this.#hasTime())
        this.#take(backlog[taken++] as Frame);
    } catch (error) {
      this.#onRubbish(toError(error));
    }
    if (this.#isStopped) return;
    this.#spend(begunAt);
    this.#backlog = backlog.slice(taken);
    if (this.#backlog.length === 0) this.#duplex.resume();
    else this.#continueLater();
  };

  #continueLater(): void {
    if (this.#savedMs >= 0) setImmediate(this.#onBacklog);
    else this.#wait = setTimeout(this.#onBacklog, Math.ceil(-this.#savedMs / this.#share));
  }

  #spend(begunAt: number): void {
    if (this.#share >= 1) return;
    const now = performance.now();
    const earned = (begunAt - this.#savedAt) * this.#share;
    this.#savedMs = Math.min(SAVED_MS, this.#savedMs + earned) - (now - begunAt);
    this.#savedAt = begunAt;
  }

  /** Whether another frame may be taken in this turn of the loop, in however many chunks they come. */
  #hasTime(): boolean {
    const now = performance.now();
    this.#turnEndsAt ??= now + TURN_MS;
    return now <= this.#turnEndsAt;
  }

  static #endTurn(intake: Intake): void {
    intake.#turnEndsAt = null;
  }
}
