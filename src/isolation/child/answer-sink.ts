import { MAX_PACKED_BYTES, packBytes } from '../channel/bytes.ts';
import type { OutgoingStream } from '../channel/streams.ts';
import type { AnswerHead, WholeAnswer } from '../protocol.ts';

type Done = (error?: Error | null) => void;

/** Where the body of an answer goes. */
export interface BodySink {
  /** False when whoever writes should wait. `done` is called when the chunk is on its way. */
  write(chunk: Buffer, done?: Done): boolean;
  /** What comes after the body, names and values one after the other. Told before its end. */
  trail(trailers: readonly string[]): void;
  end(): void;
  destroy(): void;
  /** The answer, when it has ended and nothing of it has left. */
  whole(): WholeAnswer | null;
}

/** For an answer that others have given already. */
export const NOWHERE: BodySink = {
  write: (_chunk, done) => {
    if (done !== undefined) process.nextTick(done);
    return true;
  },
  trail: () => undefined,
  end: () => undefined,
  destroy: () => undefined,
  whole: () => null,
};

/** What an answer needs of the channel. */
export interface AnswerPorts {
  /** Tells the head; what it returns takes the body. */
  readonly open: (head: AnswerHead) => OutgoingStream;
  /** Tells the trailers, names and values one after the other, before the body's end. */
  readonly trail: (trailers: readonly string[]) => void;
}

/**
 * An answer on its way to the gateway. What has ended before the turn of the loop is over is one message, for which the
 * gateway wakes up once; everything else is a head and a stream.
 */
export class AnswerSink implements BodySink {
  readonly #head: AnswerHead;
  readonly #ports: AnswerPorts;
  readonly #onDrain: () => void;
  readonly #turn: NodeJS.Immediate;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #ended = false;
  #stream: OutgoingStream | null = null;

  /** @param onDrain called when more may be written after `write` has said no */
  constructor(head: AnswerHead, ports: AnswerPorts, onDrain: () => void) {
    this.#head = head;
    this.#ports = ports;
    this.#onDrain = onDrain;
    this.#turn = setImmediate(() => this.#letGo());
  }

  write(chunk: Buffer, done?: Done): boolean {
    if (this.#stream === null && this.#heldBytes + chunk.length > MAX_PACKED_BYTES) this.#letGo();
    if (this.#stream !== null) return this.#stream.write(chunk, done);
    if (chunk.length > 0) this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (done !== undefined) process.nextTick(done);
    return true;
  }

  trail(trailers: readonly string[]): void {
    this.#letGo();
    this.#ports.trail(trailers);
  }

  end(): void {
    this.#ended = true;
    if (this.#stream === null) clearImmediate(this.#turn);
    else this.#stream.end();
  }

  /** Half an answer must not be taken for a whole one: what is held goes first, and then that it broke. */
  destroy(): void {
    if (this.#ended) return;
    this.#letGo().destroy();
  }

  whole(): WholeAnswer | null {
    if (!this.#ended || this.#stream !== null) return null;
    const [only = Buffer.alloc(0), ...more] = this.#held;
    return { ...this.#head, body: packBytes(more.length === 0 ? only : Buffer.concat(this.#held)) };
  }

  #letGo(): OutgoingStream {
    if (this.#stream !== null) return this.#stream;
    clearImmediate(this.#turn);
    const stream = this.#ports.open(this.#head);
    stream.on('drain', this.#onDrain);
    for (const chunk of this.#held) stream.write(chunk);
    this.#held = [];
    this.#stream = stream;
    return stream;
  }
}
