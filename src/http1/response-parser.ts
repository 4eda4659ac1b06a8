import { ChunkedBody } from './chunked-body.ts';
import { Http1Error } from './errors.ts';
import { parseHead, type ResponseHead } from './response-head.ts';

/** Bytes of a response's head, the empty line behind it included. */
const MAX_HEAD_BYTES = 16_384;
const HEAD_END = '\r\n\r\n';
/** Informational responses in front of one response; servers send one or two. */
const MAX_INFORMATIONAL = 32;

/** Hears what a parser finds. */
export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** Bytes of the body, in memory of their own. */
  onBody(bytes: Buffer): void;
}

type State = 'head' | 'length' | 'chunked' | 'close' | 'over';

/** Reads one response at a time from bytes that come in any pieces. */
export class ResponseParser {
  readonly #sink: ResponseSink;
  readonly #chunks: ChunkedBody = new ChunkedBody();
  #state: State = 'over';
  /** What has come of a head. */
  #text = '';
  #informational = 0;
  /** Bytes of a sized body that are yet to come. */
  #left = 0;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** True when the response is complete, or none is expected. */
  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Expects a response. */
  begin(): void {
    this.#state = 'head';
    this.#text = '';
    this.#informational = 0;
  }

  /**
   * Takes what has come, up to the end of the response.
   *
   * @param bytes memory that may be used again when this returns
   * @returns how many bytes were taken; fewer than `length`: the response is over, and more has come behind it
   * @throws Http1Error `HTTP1_INVALID_RESPONSE`
   */
  push(bytes: Buffer, length: number): number {
    let at = 0;
    while (at < length && this.#state !== 'over') {
      if (this.#state === 'head') at = this.#head(bytes, at, length);
      else if (this.#state === 'length') at = this.#sized(bytes, at, length);
      else if (this.#state === 'chunked') at = this.#chunked(bytes, at, length);
      else at = this.#rest(bytes, at, length);
    }
    return at;
  }

  /** The connection has ended. True when that is the end of the response. */
  end(): boolean {
    if (this.#state === 'close') this.#state = 'over';
    return this.isOver;
  }

  #head(bytes: Buffer, at: number, length: number): number {
    const before = this.#text.length;
    const text = this.#text + bytes.toString('latin1', at, Math.min(length, at + MAX_HEAD_BYTES));
    const end = text.indexOf(HEAD_END);
    // The same head has to be too large however it is cut.
    const least = end === -1 ? text.length + 1 : end + HEAD_END.length;
    if (least > MAX_HEAD_BYTES) throw tooLarge();
    if (end === -1) {
      this.#text = text;
      return length;
    }
    this.#text = '';
    this.#begin(parseHead(text.slice(0, end)));
    return at + end + HEAD_END.length - before;
  }

  #begin(head: ResponseHead): void {
    if (head.status < 200) {
      this.#pass(head);
      return;
    }
    const { framing } = head;
    if (framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0)) this.#state = 'over';
    else this.#state = framing.kind;
    if (framing.kind === 'length') this.#left = framing.bytes;
    if (framing.kind === 'chunked') this.#chunks.reset();
    this.#sink.onHead(head);
  }

  /** RFC 9110, section 15.2: some of them may come first. Nobody has asked for another protocol. */
  #pass({ status }: ResponseHead): void {
    if (status === 101) throw new Http1Error('HTTP1_INVALID_RESPONSE', 'Invalid response: it upgrades');
    if (++this.#informational <= MAX_INFORMATIONAL) return;
    throw new Http1Error('HTTP1_INVALID_RESPONSE', 'Invalid response: it never comes to its final head');
  }

  #sized(bytes: Buffer, at: number, length: number): number {
    const end = Math.min(length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = 'over';
    this.#sink.onBody(copyOf(bytes, at, end));
    return end;
  }

  /** All the data of one read is one piece for the sink, however many chunks it came in. */
  #chunked(bytes: Buffer, at: number, length: number): number {
    const target = Buffer.allocUnsafe(length - at);
    const end = this.#chunks.read(bytes, at, length, target);
    const { written } = this.#chunks;
    if (this.#chunks.isOver) this.#state = 'over';
    if (written > 0) this.#sink.onBody(target.subarray(0, written));
    return end;
  }

  #rest(bytes: Buffer, at: number, length: number): number {
    this.#sink.onBody(copyOf(bytes, at, length));
    return length;
  }
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}

function tooLarge(): Http1Error {
  return new Http1Error(
    'HTTP1_INVALID_RESPONSE',
    `Invalid response: its head is larger than ${MAX_HEAD_BYTES} bytes`,
  );
}
