import { Pool } from 'undici';
import { CONNECT_TIMEOUT_MS } from './timeouts.ts';

/** How long an unused connection is kept, unless the upstream says otherwise in `Keep-Alive`. Milliseconds. */
const KEEP_ALIVE_MS = 30_000;

/** One connection pool per origin. A pool opens a connection whenever all are busy: no stream waits for another. */
export class Pools {
  readonly #pools = new Map<string, Pool>();

  of(origin: string): Pool {
    const known = this.#pools.get(origin);
    if (known !== undefined) return known;
    const pool = new Pool(origin, {
      connections: null,
      pipelining: 1,
      allowH2: false,
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
    this.#pools.set(origin, pool);
    return pool;
  }

  /** Closes every connection; calls that still run fail. The server has drained by then. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }
}
