import type { EndOfTurn } from '../../end-of-turn.ts';
import { Http1Client } from '../../http1/client.ts';
import { CONNECT_TIMEOUT_MS } from './timeouts.ts';

/** How long an unused connection is kept, unless the upstream says otherwise in `Keep-Alive`. Milliseconds. */
const KEEP_ALIVE_MS = 30_000;

/** One client per origin, with the connections to it. */
export class Pools {
  readonly #endOfTurn: EndOfTurn;
  readonly #clients = new Map<string, Http1Client>();

  constructor(endOfTurn: EndOfTurn) {
    this.#endOfTurn = endOfTurn;
  }

  of(origin: URL): Http1Client {
    const known = this.#clients.get(origin.origin);
    if (known !== undefined) return known;
    const client = new Http1Client(origin, {
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      keepAliveMs: KEEP_ALIVE_MS,
      endOfTurn: this.#endOfTurn,
    });
    this.#clients.set(origin.origin, client);
    return client;
  }

  /** Closes every connection; calls that still run fail. The server has drained by then. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
  }
}
