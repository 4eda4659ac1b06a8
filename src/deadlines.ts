import { AsyncLocalStorage } from 'node:async_hooks';

/** A running deadline. Pass it to {@link Deadlines.cancel} once what it bounds is over. */
export interface Deadline {
  readonly at: number;
  readonly queue: Queue;
  expire: (() => void) | null;
  previous: Deadline | null;
  next: Deadline | null;
}

/** Deadlines of one length, oldest first, so that only the head needs a timer. */
interface Queue {
  readonly timeoutMs: number;
  head: Deadline | null;
  tail: Deadline | null;
  isArmed: boolean;
}

/** A timer is shared: it runs in nobody's context, not in that of the request that happened to set it. */
const asNobody: (run: () => void) => void = AsyncLocalStorage.snapshot();

/**
 * Deadlines for calls into plugins and for attempts at upstreams. Almost all of them are cancelled in time, so setting
 * and cancelling have to be cheap: all deadlines of one length share one timer and stand in a linked list in the order
 * in which they expire.
 *
 * @example
 * ```ts
 * const deadlines = new Deadlines(() => performance.now());
 * const deadline = deadlines.set(10_000, () => call.fail());
 * deadlines.cancel(deadline); // it has answered
 * ```
 */
export class Deadlines {
  readonly #now: () => number;
  readonly #queues = new Map<number, Queue>();

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Calls `expire` after `timeoutMs`, unless cancelled. Does not keep the process alive. */
  set(timeoutMs: number, expire: () => void): Deadline {
    const queue = this.#queue(timeoutMs);
    const at = this.#now() + timeoutMs;
    const deadline: Deadline = { at, queue, expire, previous: queue.tail, next: null };
    if (queue.tail === null) queue.head = deadline;
    else queue.tail.next = deadline;
    queue.tail = deadline;
    if (!queue.isArmed) this.#arm(queue, timeoutMs);
    return deadline;
  }

  /** Forgets a deadline; harmless when it has expired or was cancelled before. */
  cancel(deadline: Deadline): void {
    if (deadline.expire !== null) remove(deadline);
  }

  #queue(timeoutMs: number): Queue {
    let queue = this.#queues.get(timeoutMs);
    if (queue === undefined) {
      queue = { timeoutMs, head: null, tail: null, isArmed: false };
      this.#queues.set(timeoutMs, queue);
    }
    return queue;
  }

  /** The timer stays armed when the list empties: re-arming per call is what this class exists to avoid. */
  #arm(queue: Queue, delayMs: number): void {
    queue.isArmed = true;
    asNobody(() => setTimeout(() => this.#sweep(queue), Math.max(1, Math.ceil(delayMs))).unref());
  }

  #sweep(queue: Queue): void {
    queue.isArmed = false;
    const now = this.#now();
    try {
      while (queue.head !== null && queue.head.at <= now) {
        const { expire } = queue.head;
        remove(queue.head);
        expire?.();
      }
    } finally {
      // Also when one of them throws: the others must not wait for ever.
      if (queue.head === null) this.#queues.delete(queue.timeoutMs);
      else if (!queue.isArmed) this.#arm(queue, queue.head.at - now);
    }
  }
}

function remove(deadline: Deadline): void {
  const { queue, previous, next } = deadline;
  deadline.expire = null;
  if (previous === null) queue.head = next;
  else previous.next = next;
  if (next === null) queue.tail = previous;
  else next.previous = previous;
  // One that outlived a collection would keep all that came behind it.
  deadline.previous = null;
  deadline.next = null;
}
