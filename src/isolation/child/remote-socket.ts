import { EventEmitter } from 'node:events';
import type { CrossingRequest } from '../protocol.ts';
import type { BodySink } from './answer-sink.ts';

type Done = (error?: Error | null) => void;

/** What Node's streams begin to say no at. */
const HIGH_WATER_MARK_BYTES = 65_536;

/**
 * What a request and its response take for their socket: the client's address, `destroy()`, the event `close`. What is
 * written to it is the answer's body.
 *
 * No `Duplex`: every `Writable` of Node has a function of its own that V8 allocates as an old object, so that it, and all
 * that it leads to, stays until the next full collection. One per request were most of what this process collected.
 */
export class RemoteSocket extends EventEmitter {
  readonly remoteAddress: string;
  readonly remoteFamily: string;
  readonly encrypted: boolean;
  readonly readableHighWaterMark: number = HIGH_WATER_MARK_BYTES;
  readonly writableHighWaterMark: number = HIGH_WATER_MARK_BYTES;
  readonly writableLength = 0;
  /** Nothing is held back here: what ends within a turn of the loop is one message anyway. */
  readonly writableCorked = 1;
  /** `OutgoingMessage.end` of Node 26 writes to it. */
  readonly _writableState: { corked: number } = { corked: 0 };
  /** Set with the head: what is written before it is an interim answer. */
  body: BodySink | null = null;
  readonly #onInterim: (text: string) => void;
  #isDestroyed = false;

  /** @param onInterim told the head of an answer before the answer, as it would be on the wire */
  constructor({ ip, encrypted }: CrossingRequest, onInterim: (text: string) => void) {
    super();
    this.#onInterim = onInterim;
    this.remoteAddress = ip;
    this.remoteFamily = ip.includes(':') ? 'IPv6' : 'IPv4';
    this.encrypted = encrypted;
  }

  get destroyed(): boolean {
    return this.#isDestroyed;
  }

  /** As of a connection that is open: body parsers look at it before they read. */
  get readable(): boolean {
    return !this.#isDestroyed;
  }

  get writable(): boolean {
    return !this.#isDestroyed;
  }

  /** @param done called in a later microtask at the soonest, as those of sockets are */
  write(chunk: string | Uint8Array, encoding?: BufferEncoding | null, done?: Done): boolean {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding ?? 'utf8') : toBuffer(chunk);
    if (this.body !== null) return this.body.write(bytes, done);
    this.#onInterim(bytes.toString('latin1'));
    if (done !== undefined) process.nextTick(done);
    return true;
  }

  /** The gateway is told that the answer is broken, unless it has ended. A client that is gone is no exception. */
  destroy(_error?: Error): this {
    if (this.#isDestroyed) return this;
    this.#isDestroyed = true;
    this.body?.destroy();
    process.nextTick(tellClose, this);
    return this;
  }

  cork(): void {}

  uncork(): void {}

  pause(): this {
    return this;
  }

  resume(): this {
    return this;
  }

  setTimeout(_ms?: number, _listener?: () => void): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function tellClose(socket: RemoteSocket): void {
  socket.emit('close', false);
}
