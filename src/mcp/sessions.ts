import { GatewayError } from '../errors.ts';

/** How many sessions there may be, and for how long. */
export interface SessionLimits {
  readonly total: number;
  /** Of one identity. */
  readonly perIdentity: number;
  /** Without a request and without an open stream, in milliseconds. */
  readonly idleMs: number;
}

/** See docs/security.md, "The MCP server". */
export const SESSION_LIMITS: SessionLimits = { total: 1000, perIdentity: 100, idleMs: 1_800_000 };

/** What a session is about. */
export interface Conversation {
  close(): void;
}

interface Session<T> {
  readonly conversation: T;
  /** The identity that opened it; `null`: nobody is known. */
  readonly owner: string | null;
  /** Answers that are still being sent. */
  open: number;
  lastUsedAt: number;
}

/**
 * The open sessions by their id. Each belongs to the identity that opened it: for another one it does not exist. When
 * there are too many, those make room that have been idle the longest.
 */
export class Sessions<T extends Conversation> {
  readonly #limits: SessionLimits;
  readonly #clock: () => number;
  /** In the order of their last use. */
  readonly #byId = new Map<string, Session<T>>();

  constructor(limits: SessionLimits, clock: () => number) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get conversations(): T[] {
    return [...this.#byId.values()].map(({ conversation }) => conversation);
  }

  /**
   * Makes room for one more session of `owner`.
   *
   * @throws GatewayError `rate_limit_exceeded` when all that could make room are in use
   */
  reserve(owner: string | null): void {
    this.expire();
    const own = owner === null ? [] : [...this.#byId].filter(([, session]) => session.owner === owner);
    if (own.length >= this.#limits.perIdentity) this.#evict(own);
    if (this.#byId.size >= this.#limits.total) this.#evict([...this.#byId]);
  }

  add(id: string, owner: string | null, conversation: T): void {
    this.#byId.set(id, { conversation, owner, open: 0, lastUsedAt: this.#clock() });
  }

  /** `null`: there is no such session, or it is somebody else's. */
  get(id: string, owner: string | null): T | null {
    this.expire();
    const session = this.#byId.get(id);
    return session === undefined || session.owner !== owner ? null : session.conversation;
  }

  /** One answer begins. To be called again with what it returns, when the answer has been sent. */
  use(id: string): () => void {
    const session = this.#byId.get(id);
    if (session === undefined) return () => undefined;
    session.open += 1;
    this.#touch(id, session);
    return () => {
      session.open -= 1;
      if (this.#byId.get(id) === session) this.#touch(id, session);
    };
  }

  /** The session is over, and has been closed by whoever says so. */
  remove(id: string): void {
    this.#byId.delete(id);
  }

  /** Closes the sessions that nobody has used for too long. */
  expire(): void {
    const oldest = this.#clock() - this.#limits.idleMs;
    for (const [id, session] of this.#byId) {
      if (session.lastUsedAt > oldest) return;
      if (session.open === 0) this.#close(id, session);
    }
  }

  closeAll(): void {
    for (const [id, session] of this.#byId) this.#close(id, session);
  }

  #touch(id: string, session: Session<T>): void {
    session.lastUsedAt = this.#clock();
    this.#byId.delete(id);
    this.#byId.set(id, session);
  }

  #evict(among: readonly (readonly [string, Session<T>])[]): void {
    const idle = among.find(([, { open }]) => open === 0);
    if (idle === undefined) throw new GatewayError('rate_limit_exceeded', 'There are too many open sessions');
    this.#close(...idle);
  }

  #close(id: string, { conversation }: Session<T>): void {
    this.#byId.delete(id);
    conversation.close();
  }
}
