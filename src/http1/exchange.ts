import type { BodyLender, ResponseController, ResponseHandler } from './types.ts';

/** The connection, as far as an exchange needs it. */
export interface Carrier {
  pause(): void;
  resume(): void;
  /** Closes the connection. */
  drop(): void;
}

/** One request and its response: whoever takes the response controls no more than this, and no longer. */
export class Exchange implements ResponseController {
  readonly head: string;
  readonly body: readonly Buffer[];
  /** Bytes of the body. */
  readonly length: number;
  readonly idleMs: number;
  readonly handler: ResponseHandler;
  readonly lender: BodyLender | null;
  /** `null` before the exchange is sent, and when it is over. */
  carrier: Carrier | null = null;
  isAborted = false;

  constructor(
    head: string,
    body: readonly Buffer[],
    length: number,
    idleMs: number,
    handler: ResponseHandler,
    lender: BodyLender | null,
  ) {
    this.head = head;
    this.body = body;
    this.length = length;
    this.idleMs = idleMs;
    this.handler = handler;
    this.lender = lender;
  }

  pause(): void {
    this.carrier?.pause();
  }

  resume(): void {
    this.carrier?.resume();
  }

  /** The reason is the caller's own: nobody else is told. */
  abort(_reason: Error): void {
    this.isAborted = true;
    this.carrier?.drop();
  }
}
