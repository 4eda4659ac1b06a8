import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Http1Error } from './errors.ts';

/** Bytes that one read takes at most. */
const READ_BYTES = 65_536;
/** When the system begins to ask whether the other side is still there. Milliseconds. */
const PROBE_AFTER_MS = 60_000;

/** Takes what a socket has read: the first `length` bytes, in memory that the next read overwrites. */
export type OnRead = (bytes: Buffer, length: number) => void;

/** Opens connections to one origin, and resumes its TLS sessions. */
export class Connector {
  readonly #isSecure: boolean;
  readonly #host: string;
  readonly #port: number;
  readonly #timeoutMs: number;
  /**
   * One piece of memory for all connections without TLS: what comes is read within the event that brings it. (TLS may
   * bring some in the middle of a write.)
   */
  readonly #memory: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #session: Buffer | undefined;

  constructor(origin: URL, timeoutMs: number) {
    this.#isSecure = origin.protocol === 'https:';
    // An address of IPv6 stands in brackets.
    this.#host = origin.hostname.replace(/^\[|\]$/g, '');
    this.#port = origin.port === '' ? defaultPort(this.#isSecure) : Number(origin.port);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * A socket that is being connected. What is written goes out as soon as it is. Fails with `HTTP1_CONNECT_TIMEOUT`
   * when that takes too long.
   */
  open(onRead: OnRead): Socket {
    const socket = this.#isSecure ? this.#openTls(onRead) : this.#openTcp(onRead);
    const timer = setTimeout(() => socket.destroy(tooLate(this.#timeoutMs)), this.#timeoutMs);
    socket.once(this.#isSecure ? 'secureConnect' : 'connect', () => clearTimeout(timer));
    socket.once('close', () => clearTimeout(timer));
    return socket;
  }

  #openTcp(onRead: OnRead): Socket {
    const buffer = this.#memory;
    return connectTcp({
      host: this.#host,
      port: this.#port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: PROBE_AFTER_MS,
      onread: {
        buffer,
        callback: (length) => {
          onRead(buffer, length);
          return true;
        },
      },
    });
  }

  #openTls(onRead: OnRead): TLSSocket {
    const socket = connectTls({
      host: this.#host,
      port: this.#port,
      // An address is no name that a certificate is asked for (RFC 6066, section 3).
      servername: isIP(this.#host) === 0 ? this.#host : '',
      session: this.#session,
      ALPNProtocols: ['http/1.1'],
    });
    socket.setNoDelay(true).setKeepAlive(true, PROBE_AFTER_MS);
    socket.on('session', (session) => {
      this.#session = session;
    });
    socket.on('data', (chunk: Buffer) => onRead(chunk, chunk.length));
    return socket;
  }
}

function defaultPort(isSecure: boolean): number {
  return isSecure ? 443 : 80;
}

function tooLate(timeoutMs: number): Http1Error {
  return new Http1Error('HTTP1_CONNECT_TIMEOUT', `No connection within ${timeoutMs} ms`);
}
