const HEAD_END = '\r\n\r\n';
const LAST_CHUNK = '0\r\n\r\n';
/** As much of a body as is looked at. Bytes. */
const PEEK = 512;

type State =
  | { readonly kind: 'head' }
  | { readonly kind: 'counted'; left: number }
  | { readonly kind: 'chunked' };

/** Finds where HTTP/1.1 requests on one connection end, and keeps the beginning of their bodies. */
export class RequestReader {
  readonly #onRequest: (bodyHead: string) => void;
  #state: State = { kind: 'head' };
  #bytes: Buffer = Buffer.alloc(0);
  #bodyHead = '';

  constructor(onRequest: (bodyHead: string) => void) {
    this.#onRequest = onRequest;
  }

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.#step());
  }

  /** @returns false when more bytes are needed */
  #step(): boolean {
    const state = this.#state;
    if (state.kind === 'head') return this.#readHead();
    if (state.kind === 'chunked') return this.#readChunked();
    return this.#readCounted(state);
  }

  #readHead(): boolean {
    const end = this.#bytes.indexOf(HEAD_END);
    if (end < 0) return false;
    const head = this.#bytes.toString('latin1', 0, end).toLowerCase();
    this.#bytes = this.#bytes.subarray(end + HEAD_END.length);
    const length = /\r\ncontent-length: *(\d+)/.exec(head);
    this.#state = length === null ? { kind: 'chunked' } : { kind: 'counted', left: Number(length[1]) };
    this.#bodyHead = '';
    return true;
  }

  #readCounted(state: { left: number }): boolean {
    const taken = Math.min(state.left, this.#bytes.length);
    this.#peek(taken);
    this.#bytes = this.#bytes.subarray(taken);
    state.left -= taken;
    if (state.left > 0) return false;
    this.#finish();
    return this.#bytes.length > 0;
  }

  #readChunked(): boolean {
    const end = this.#bytes.indexOf(LAST_CHUNK);
    if (end < 0) return false;
    this.#peek(end);
    this.#bytes = this.#bytes.subarray(end + LAST_CHUNK.length);
    this.#finish();
    return this.#bytes.length > 0;
  }

  #peek(length: number): void {
    if (this.#bodyHead.length < PEEK)
      this.#bodyHead += this.#bytes.toString('latin1', 0, Math.min(length, PEEK));
  }

  #finish(): void {
    this.#state = { kind: 'head' };
    this.#onRequest(this.#bodyHead);
  }
}
