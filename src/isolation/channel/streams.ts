import { Readable, Writable } from 'node:stream';
import { packError, parseError, unpackError } from './errors.ts';
import { FRAME, type FrameKind, RubbishError } from './frames.ts';

/** Bytes that a stream's writer may be ahead of its reader. */
const WINDOW_BYTES = 262_144;
/** Credit is given back in portions, so that small chunks do not double the frames. */
const CREDIT_BYTES = 65_536;
const CHUNK_BYTES = 65_536;
const NOTHING = Buffer.alloc(0);

/** Writes a frame. */
export type SendFrame = (kind: FrameKind, stream: number, payload: Uint8Array) => void;

/** The end that writes: it waits while the other end does not read. */
export class OutgoingStream extends Writable {
  readonly id: number;
  readonly #send: SendFrame;
  readonly #onGone: () => void;
  #credit = WINDOW_BYTES;
  #waiting: (() => void) | null = null;
  #over = false;

  constructor(id: number, send: SendFrame, onGone: () => void) {
    super({ decodeStrings: true });
    this.id = id;
    this.#send = send;
    this.#onGone = onGone;
  }

  addCredit(bytes: number): void {
    this.#credit += bytes;
    const go = this.#waiting;
    this.#waiting = null;
    go?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#push(chunk, 0, done);
  }

  override _final(done: () => void): void {
    this.#finish(FRAME.END, NOTHING);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#over) this.#finish(FRAME.FAIL, toFailure(error ?? new Error('the stream was given up')));
    this.#waiting = null;
    done(error);
  }

  #finish(kind: FrameKind, payload: Uint8Array): void {
    if (this.#over) return;
    this.#over = true;
    this.#send(kind, this.id, payload);
    this.#onGone();
  }

  #push(chunk: Buffer, from: number, done: () => void): void {
    let offset = from;
    while (offset < chunk.length) {
      if (this.#over) return;
      if (this.#credit <= 0) {
        this.#waiting = () => this.#push(chunk, offset, done);
        return;
      }
      const part = chunk.subarray(offset, offset + CHUNK_BYTES);
      this.#credit -= part.length;
      this.#send(FRAME.DATA, this.id, part);
      offset += part.length;
    }
    done();
  }
}

/** The end that reads. Each chunk is one write of the other end, or a part of a large one. */
export class IncomingStream extends Readable {
  readonly #id: number;
  readonly #send: SendFrame;
  readonly #onGone: () => void;
  readonly #queue: Buffer[] = [];
  #wanted = false;
  #ended = false;
  #over = false;
  #ahead = 0;
  #used = 0;

  constructor(id: number, send: SendFrame, onGone: () => void) {
    super({ objectMode: true, highWaterMark: 8 });
    this.#id = id;
    this.#send = send;
    this.#onGone = onGone;
  }

  /** @throws RubbishError when the writer does not wait for credit */
  takeChunk(chunk: Buffer): void {
    this.#ahead += chunk.length;
    if (this.#ahead > WINDOW_BYTES + CHUNK_BYTES)
      throw new RubbishError('saw more of a stream than it was given credit for');
    this.#queue.push(chunk);
    if (this.#wanted) this.#feed();
  }

  takeEnd(): void {
    this.#ended = true;
    this.#forget();
    if (this.#wanted) this.#feed();
  }

  takeFailure(reason: Error): void {
    this.#forget();
    this.destroy(reason);
  }

  override _read(): void {
    this.#wanted = true;
    this.#feed();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#over) this.#send(FRAME.CANCEL, this.#id, NOTHING);
    this.#forget();
    done(error);
  }

  #feed(): void {
    const chunk = this.#queue.shift();
    if (chunk !== undefined) {
      this.#wanted = false;
      this.#giveBack(chunk.length);
      this.push(chunk);
    } else if (this.#ended) {
      this.#wanted = false;
      this.push(null);
    }
  }

  #giveBack(bytes: number): void {
    this.#ahead -= bytes;
    this.#used += bytes;
    if (this.#over || this.#used < CREDIT_BYTES) return;
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(this.#used);
    this.#used = 0;
    this.#send(FRAME.CREDIT, this.#id, payload);
  }

  #forget(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onGone();
  }
}

/** Why a stream has failed, as a frame's payload. */
function toFailure(reason: Error): Buffer {
  return Buffer.from(JSON.stringify(packError(reason)));
}

/**
 * The reason again.
 *
 * @throws RubbishError
 */
export function fromFailure(payload: Buffer): Error {
  let packed: unknown;
  try {
    packed = JSON.parse(payload.toString());
  } catch {
    throw new RubbishError('saw a failure of a stream that is no JSON');
  }
  return unpackError(parseError(packed));
}
