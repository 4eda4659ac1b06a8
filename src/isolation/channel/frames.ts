/** What a frame carries. */
export const FRAME: {
  readonly MESSAGE: 0;
  readonly DATA: 1;
  readonly END: 2;
  readonly FAIL: 3;
  readonly CREDIT: 4;
  readonly CANCEL: 5;
} = Object.freeze({
  /** A JSON message; its stream is 0. */
  MESSAGE: 0,
  /** Bytes of a stream. */
  DATA: 1,
  /** A stream is over. */
  END: 2,
  /** A stream broke; the payload is the sentence that says why. */
  FAIL: 3,
  /** The reader of a stream takes so many more bytes: four of them, big-endian. */
  CREDIT: 4,
  /** The reader of a stream wants no more. */
  CANCEL: 5,
});

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  readonly kind: FrameKind;
  /** 0 for messages. */
  readonly stream: number;
  readonly payload: Buffer;
}

/** Length of the payload (4 bytes), kind (1), stream (4); all big-endian. */
const HEADER_BYTES = 9;
const LAST_KIND: number = FRAME.CANCEL;

/** What came over the channel is no frame, or a larger one than is taken: whoever wrote it is not to be talked to. */
export class RubbishError extends Error {}

/** Header and payload of a frame, to be written one after the other. */
export function encodeFrame(kind: FrameKind, stream: number, payload: Uint8Array): readonly Uint8Array[] {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, kind, stream, payload.byteLength);
  return payload.byteLength === 0 ? [header] : [header, payload];
}

/** A message as a frame, encoded into the one buffer that is written. */
export function encodeMessage(json: string): Buffer {
  const length = Buffer.byteLength(json);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + length);
  writeHeader(frame, FRAME.MESSAGE, 0, length);
  frame.write(json, HEADER_BYTES);
  return frame;
}

function writeHeader(frame: Buffer, kind: FrameKind, stream: number, length: number): void {
  frame.writeUInt32BE(length, 0);
  frame.writeUInt8(kind, 4);
  frame.writeUInt32BE(stream, 5);
}

/** Cuts what arrives into frames. */
export class FrameReader {
  readonly #maxPayloadBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;
  #needed = HEADER_BYTES;

  /** @param maxPayloadBytes a larger frame is rubbish, known by its header: nothing of it is kept */
  constructor(maxPayloadBytes: number) {
    this.#maxPayloadBytes = maxPayloadBytes;
  }

  /**
   * Takes a chunk, and gives every frame that is complete to `take`.
   *
   * @throws RubbishError
   */
  push(chunk: Buffer, take: (frame: Frame) => void): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= this.#needed) {
      const bytes = this.#chunks.length === 1 ? (this.#chunks[0] ?? chunk) : Buffer.concat(this.#chunks);
      const { frames, rest } = this.#cut(bytes);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#length = rest.length;
      for (const frame of frames) take(frame);
    }
  }

  #cut(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
    const frames: Frame[] = [];
    let offset = 0;
    this.#needed = HEADER_BYTES;
    while (bytes.length - offset >= HEADER_BYTES) {
      const end = offset + HEADER_BYTES + this.#payloadLength(bytes, offset);
      if (end > bytes.length) {
        this.#needed = end - offset;
        break;
      }
      frames.push(this.#frame(bytes, offset, end));
      offset = end;
    }
    return { frames, rest: bytes.subarray(offset) };
  }

  #payloadLength(bytes: Buffer, offset: number): number {
    const length = bytes.readUInt32BE(offset);
    if (length <= this.#maxPayloadBytes) return length;
    throw new RubbishError(`saw a frame of ${length} bytes, expected at most ${this.#maxPayloadBytes}`);
  }

  #frame(bytes: Buffer, offset: number, end: number): Frame {
    const kind = bytes.readUInt8(offset + 4);
    if (kind > LAST_KIND) throw new RubbishError(`saw a frame of kind ${kind}, expected 0 to ${LAST_KIND}`);
    return {
      kind: kind as FrameKind,
      stream: bytes.readUInt32BE(offset + 5),
      payload: bytes.subarray(offset + HEADER_BYTES, end),
    };
  }
}
