import { connect, type Socket } from 'node:net';
import { CHAT_PATH } from '../workloads.ts';
import type { Lockstep } from './lockstep.ts';
import type { LoopTarget } from './wrk.ts';

/** One streamed answer as its client saw it. */
export interface StreamResult {
  /** From the request's first byte to the first event. Microseconds. */
  readonly firstEvent: number;
  /** Events with a completion chunk. */
  readonly events: number;
  readonly text: string;
}

/** One keep-alive connection that reads answers as they come. */
export class StreamClient {
  readonly #socket: Socket;
  readonly #head: string;
  readonly #lockstep: Lockstep | null;

  /** @param lockstep told of the events that have come */
  constructor(target: LoopTarget, lockstep: Lockstep | null = null) {
    this.#lockstep = lockstep;
    this.#socket = connect({ port: target.port, host: '127.0.0.1', noDelay: true });
    const headers = Object.entries({ 'Content-Type': 'application/json', ...target.headers });
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    this.#head = `POST ${CHAT_PATH} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n${lines}`;
  }

  /** Sends one request and resolves when its answer has ended. Rejects when the connection breaks before. */
  request(body: Buffer): Promise<StreamResult> {
    const { promise, resolve, reject } = Promise.withResolvers<StreamResult>();
    const startedAt = performance.now();
    let text = '';
    let firstEvent: number | null = null;
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('latin1');
      if (firstEvent === null && hasEvent(text)) firstEvent = (performance.now() - startedAt) * 1000;
      if (isComplete(text)) settle(null);
      else this.#lockstep?.saw(countEvents(text));
    };
    const settle = (error: Error | null): void => {
      this.#socket.off('data', onData).off('error', settle).off('close', onClose);
      if (error === null) resolve({ firstEvent: firstEvent ?? 0, events: countEvents(text), text });
      else reject(error);
    };
    const onClose = (): void => settle(new Error('the connection closed before the end of the answer'));
    this.#socket.on('data', onData).on('error', settle).on('close', onClose);
    this.#socket.write(`${this.#head}Content-Length: ${body.length}\r\n\r\n`);
    this.#socket.write(body);
    return promise;
  }

  close(): void {
    this.#socket.destroy();
  }
}

function hasEvent(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  return head >= 0 && text.indexOf('{', head) >= 0;
}

function isComplete(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head));
  return length === null ? text.endsWith('0\r\n\r\n') : text.length >= head + 4 + Number(length[1]);
}

function countEvents(text: string): number {
  return text.split('chat.completion.chunk').length - 1;
}
