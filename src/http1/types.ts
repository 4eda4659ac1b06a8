/** Header fields of a response by their names in lower case; those that came more than once are lists. */
export type ResponseHeaders = Readonly<Record<string, string | string[]>>;

/** What the taker of a response can do about it. Without effect once the response is over. */
export interface ResponseController {
  /** Nothing more is read for now. What has been read already still comes. */
  pause(): void;
  resume(): void;
  /** Ends the exchange and closes its connection. The handler hears nothing more. */
  abort(reason: Error): void;
}

/**
 * Takes a response as it comes: {@link onRequestStart} once, then {@link onResponseStart}, any number of pieces, and
 * {@link onResponseEnd}; or {@link onResponseError} at any point after the start, and nothing behind it.
 */
export interface ResponseHandler {
  onRequestStart(controller: ResponseController): void;
  /** @param status 200 or above: informational responses are passed over */
  onResponseStart(controller: ResponseController, status: number, headers: ResponseHeaders): void;
  /** `chunk` is the handler's own from here on. */
  onResponseData(controller: ResponseController, chunk: Buffer): void;
  onResponseEnd(controller: ResponseController): void;
  onResponseError(controller: ResponseController, error: Error): void;
}

/** Whoever keeps the bytes of a body until they are sent. */
export interface BodyLender {
  /**
   * The body is written, and not looked at any more. Called once, before the response has come to its end; never when
   * the exchange fails before.
   */
  onSent(): void;
}

/** A POST request. */
export interface ClientRequest {
  /** Fields that are the same for every request; made once by `requestHead`. */
  readonly head: string;
  /** Further fields: names, which are the caller's own constants, and values in turn. */
  readonly headers: readonly string[];
  /** In one piece or several, which are sent one behind the other. */
  readonly body: Buffer | readonly Buffer[];
  /** Whose bytes they are. `null`: nobody wants to know. */
  readonly lender?: BodyLender | null;
  /** Longest silence within the response's body. Milliseconds. */
  readonly idleMs: number;
}
