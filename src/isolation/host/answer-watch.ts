import type { Writable } from 'node:stream';
import type { Response } from 'express';
import type { RelayedHead } from '../protocol.ts';

/**
 * Tells middleware in a plugin's process, which has handed on and listens, how the answer of others ended: its head as a
 * line of JSON when all of it has been handed to the client. Of a client that has left it hears as everybody does whose
 * call is given up.
 */
export class AnswerWatch {
  #isTold = false;

  /** @param out takes the head */
  constructor(res: Response, out: Writable) {
    res.once('finish', () => {
      this.#isTold = true;
      const { statusCode: status, statusMessage: message } = res;
      const headers = res.getHeaders() as RelayedHead['headers'];
      const head: RelayedHead = { status, message, headers, whole: true, explicit: false };
      out.end(`${JSON.stringify(head)}\n`);
    });
    res.once('close', () => {
      if (!this.#isTold) out.destroy();
    });
  }

  /** The answer is out, and the plugin knows. */
  get isTold(): boolean {
    return this.#isTold;
  }
}
