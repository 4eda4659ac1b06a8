import type { Duplex } from 'node:stream';
import { EndOfTurn, type TurnTask } from '../../end-of-turn.ts';
import { encodeFrame, encodeMessage, type FrameKind } from './frames.ts';
import type { Message } from './message.ts';
import type { SendFrame } from './streams.ts';

/** What goes into a stream: all that is sent in one turn of the loop goes out as one write, up to some messages. */
export class Outbox implements TurnTask {
  readonly #duplex: Duplex;
  readonly #endOfTurn = new EndOfTurn();
  #isCorked = false;
  #isLeaving = false;
  #isClosed = false;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  /** @throws what JSON cannot carry */
  say(message: Message): void {
    const frame = encodeMessage(JSON.stringify(message));
    if (this.#isClosed) return;
    this.#hold();
    this.#duplex.write(frame);
  }

  readonly send: SendFrame = (kind: FrameKind, stream: number, payload: Uint8Array): void => {
    if (this.#isClosed) return;
    this.#hold();
    for (const part of encodeFrame(kind, stream, payload)) this.#duplex.write(part);
  };

  /** Nothing is sent from now on. */
  close(): void {
    this.#isClosed = true;
  }

  onEndOfTurn(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    // A message that is alone may be followed by its body.
    process.nextTick(Outbox.#uncork, this);
  }

  /** Told of each message: turns that bring several are waited for. */
  #hold(): void {
    if (!this.#isCorked) this.#duplex.cork();
    this.#isCorked = true;
    this.#endOfTurn.add(this);
  }

  static #uncork(outbox: Outbox): void {
    outbox.#isCorked = false;
    outbox.#isLeaving = false;
    outbox.#duplex.uncork();
  }
}
