import type { Duplex } from 'node:stream';
import { toError } from '../../errors.ts';
import { type Frame, FrameReader } from './frames.ts';

/** What the other end may take of one turn of the loop: its flood must not hold up everybody else. */
const TURN_MS = 0.25;

export interface IntakeOptions {
  /** The longest message, in bytes. */
  readonly messageBytes: number;
  /** Takes a frame. What it throws goes to `onRubbish`. */
  readonly take: (frame: Frame) => void;
  /** What came cannot be taken. The intake has to be stopped then. */
  readonly onRubbish: (reason: Error) => void;
}

/** What comes out of a stream, as frames: so many in a turn of the loop as there is time for, the rest later. */
export class Intake {
  readonly #duplex: Duplex;
  readonly #take: IntakeOptions['take'];
  readonly #onRubbish: IntakeOptions['onRubbish'];
  readonly #reader: FrameReader;
  /** Frames that are left to the next turns of the loop; nothing is read meanwhile. */
  #backlog: Frame[] = [];
  /** `performance.now()` at which no more frames are taken in this turn of the loop; `null`: none has been so far. */
  #turnEndsAt: number | null = null;
  #isStopped = false;

  constructor(duplex: Duplex, { messageBytes, take, onRubbish }: IntakeOptions) {
    this.#duplex = duplex;
    this.#take = take;
    this.#onRubbish = onRubbish;
    this.#reader = new FrameReader(messageBytes);
    duplex.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  /** Takes nothing more, neither what waits nor what comes. */
  stop(): void {
    this.#isStopped = true;
    this.#backlog = [];
  }

  #onData(chunk: Buffer): void {
    const isBehind = this.#backlog.length > 0;
    try {
      this.#reader.push(chunk, (frame) => this.#onFrame(frame));
    } catch (error) {
      this.#onRubbish(toError(error));
    }
    if (isBehind || this.#backlog.length === 0) return;
    this.#duplex.pause();
    setImmediate(() => this.#onBacklog());
  }

  #onFrame(frame: Frame): void {
    if (this.#isStopped) return;
    if (this.#backlog.length > 0 || !this.#hasTime()) this.#backlog.push(frame);
    else this.#take(frame);
  }

  #onBacklog(): void {
    const backlog = this.#backlog;
    let taken = 0;
    try {
      while (taken < backlog.length && !this.#isStopped && this.#hasTime())
        this.#take(backlog[taken++] as Frame);
    } catch (error) {
      this.#onRubbish(toError(error));
    }
    if (this.#isStopped) return;
    this.#backlog = backlog.slice(taken);
    if (this.#backlog.length === 0) this.#duplex.resume();
    else setImmediate(() => this.#onBacklog());
  }

  /** Whether another frame may be taken in this turn of the loop, in however many chunks they come. */
  #hasTime(): boolean {
    const now = performance.now();
    if (this.#turnEndsAt === null) {
      this.#turnEndsAt = now + TURN_MS;
      setImmediate(Intake.#endTurn, this);
    }
    return now <= this.#turnEndsAt;
  }

  static #endTurn(intake: Intake): void {
    intake.#turnEndsAt = null;
  }
}
