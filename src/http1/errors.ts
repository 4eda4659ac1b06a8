export type Http1ErrorCode =
  /** No connection was made in time. */
  | 'HTTP1_CONNECT_TIMEOUT'
  /** The response's body stopped coming. */
  | 'HTTP1_IDLE_TIMEOUT'
  /** The connection ended before its response. */
  | 'HTTP1_CLOSED'
  /** What came is no response of HTTP/1. */
  | 'HTTP1_INVALID_RESPONSE'
  /** The request cannot be written: a field that is no field of HTTP. */
  | 'HTTP1_INVALID_REQUEST';

/** A request that failed on its way. Errors of the system (`ECONNREFUSED` and the like) come as they are. */
export class Http1Error extends Error {
  readonly code: Http1ErrorCode;

  constructor(code: Http1ErrorCode, message: string) {
    super(message);
    this.name = 'Http1Error';
    this.code = code;
  }
}
