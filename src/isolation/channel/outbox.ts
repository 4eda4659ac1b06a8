import type { Duplex } from 'node:stream';
import { encodeFrame, encodeMessage, type FrameKind } from './frames.ts';
import type { Message } from './message.ts';
import type { SendFrame } from './streams.ts';

/** What goes into a stream: all that is sent in one turn of the loop goes out as one write. */
export class Outbox {
  readonly #duplex: Duplex;
  #isCorked = false;
  #isClosed = false;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  /** @throws what JSON cannot carry */
  say(message: Message): void {
    const frame = encodeMessage(JSON.stringify(message));
    if (this.#isClosed) return;
    this.#cork();
    this.#duplex.write(frame);
  }

  readonly send: SendFrame = (kind: FrameKind, stream: number, payload: Uint8Array): void => {
    if (this.#isClosed) return;
    this.#cork();
    for (const part of encodeFrame(kind, stream, payload)) this.#duplex.write(part);
  };

  /** Nothing is sent from now on. */
  close(): void {
    this.#isClosed = true;
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#duplex.cork();
    process.nextTick(Outbox.#uncork, this);
  }

  static #uncork(outbox: Outbox): void {
    outbox.#isCorked = false;
    outbox.#duplex.uncork();
  }
}
