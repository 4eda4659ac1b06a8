import { FRAME, type Frame, RubbishError } from './frames.ts';
import { fromFailure, IncomingStream, OutgoingStream, type SendFrame } from './streams.ts';
import { TransientMap } from './transient-map.ts';

/** A chunk below this counts as a message: it costs as much. */
const SMALL_CHUNK_BYTES = 512;

export interface StreamTableOptions {
  /** 0 and 1: which ids are whose. */
  readonly side: 0 | 1;
  readonly send: SendFrame;
  /** Called for frames that cost more than the bytes they carry. Throws when there are too many. */
  readonly count: () => void;
}

/** The streams of a channel that are open, by their ids. */
export class StreamTable {
  readonly #options: StreamTableOptions;
  readonly #incoming = new TransientMap<number, IncomingStream>();
  readonly #outgoing = new TransientMap<number, OutgoingStream>();
  #lastId: number;
  #broken: Error | null = null;

  constructor(options: StreamTableOptions) {
    this.#options = options;
    this.#lastId = options.side;
  }

  /** An id for a stream to the other end, which may be opened later. */
  reserve(): number {
    this.#lastId += 2;
    return this.#lastId;
  }

  /** A stream to the other end. */
  open(id: number): OutgoingStream {
    const stream = new OutgoingStream(id, this.#options.send, () => this.#outgoing.take(id));
    // Whoever writes hears of failures by the pipeline; unheard, they would end the process.
    stream.on('error', ignore);
    if (this.#broken === null) this.#outgoing.set(id, stream);
    else stream.destroy(this.#broken);
    return stream;
  }

  /** @throws RubbishError when there cannot be a stream of the other end with this id */
  accept(id: unknown): IncomingStream {
    const { side, send } = this.#options;
    if (typeof id !== 'number' || !Number.isInteger(id) || id % 2 === side || this.#incoming.has(id))
      throw new RubbishError(`saw ${String(id)} as the id of a stream`);
    const stream = new IncomingStream(id, send, () => this.#incoming.take(id));
    stream.on('error', ignore);
    this.#incoming.set(id, stream);
    return stream;
  }

  /** @throws RubbishError for what no writer or reader of a stream sends */
  take({ kind, stream: id, payload }: Frame): void {
    if (kind === FRAME.CREDIT) this.#addCredit(id, payload);
    else if (kind === FRAME.CANCEL) this.#outgoing.get(id)?.destroy();
    else this.#feed(kind, id, payload);
  }

  /** Every stream fails with `reason`, and so does each that is opened from now on. */
  break(reason: Error): void {
    this.#broken = reason;
    for (const stream of this.#incoming.values()) stream.takeFailure(reason);
    for (const stream of this.#outgoing.values()) stream.destroy(reason);
  }

  #addCredit(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw new RubbishError('saw a credit that is no number');
    this.#options.count();
    this.#outgoing.get(id)?.addCredit(payload.readUInt32BE());
  }

  #feed(kind: Frame['kind'], id: number, payload: Buffer): void {
    const stream = this.#incoming.get(id);
    // Of a stream that was given up: the writer may not know yet.
    if (stream === undefined) this.#options.count();
    else if (kind === FRAME.DATA) {
      if (payload.length < SMALL_CHUNK_BYTES) this.#options.count();
      stream.takeChunk(payload);
    } else if (kind === FRAME.END) stream.takeEnd();
    else stream.takeFailure(fromFailure(payload));
  }
}

function ignore(): void {}
