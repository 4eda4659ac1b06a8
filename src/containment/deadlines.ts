/** A running deadline. Pass it to {@link Deadlines.cancel} once the call has settled. */
export interface Deadline {
  at: number;
  expire: (() => void) | null;
  previous: Deadline | null;
  next: Deadline | null;
}

/** Deadlines of one length, oldest first, so that only the head needs a timer. */
interface Queue {
  readonly timeoutMs: number;
  head: Deadline | null;
  tail: Deadline | null;
  timer: NodeJS.Timeout | null;
}

/**
 * Deadlines for calls into plugins. Almost every call settles in time, so setting and cancelling have to be cheap:
 * all deadlines of one length share one timer and stand in a linked list in the order in which they expire.
 */
export class Deadlines {
  readonly #now: () => number;
  readonly #queues = new Map<number, Queue>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Calls `expire` after `timeoutMs`, unless cancelled. Does not keep the process alive. */
  set(timeoutMs: number, expire: () => void): Deadline {
    const queue = this.#queue(timeoutMs);
    const deadline: Deadline = { at: this.#now() + timeoutMs, expire, previous: queue.tail, next: null };
    if (queue.tail === null) queue.head = deadline;
    else queue.tail.next = deadline;
    queue.tail = deadline;
    if (queue.timer === null) this.#arm(queue, timeoutMs);
    return deadline;
  }

  /** Forgets a deadline; harmless when it has expired or was cancelled before. */
  cancel(deadline: Deadline, timeoutMs: number): void {
    if (deadline.expire === null) return;
    this.#remove(this.#queue(timeoutMs), deadline);
  }

  #queue(timeoutMs: number): Queue {
    let queue = this.#queues.get(timeoutMs);
    if (queue === undefined) {
      queue = { timeoutMs, head: null, tail: null, timer: null };
      this.#queues.set(timeoutMs, queue);
    }
    return queue;
  }

  /** The timer stays armed when the list empties: re-arming per call is what this class exists to avoid. */
  #arm(queue: Queue, delayMs: number): void {
    queue.timer = setTimeout(() => this.#sweep(queue), Math.max(1, Math.ceil(delayMs)));
    queue.timer.unref();
  }

  #sweep(queue: Queue): void {
    queue.timer = null;
    const now = this.#now();
    try {
      while (queue.head !== null && queue.head.at <= now) {
        const { head } = queue;
        const { expire } = head;
        this.#remove(queue, head);
        expire?.();
      }
    } finally {
      // Also when one of them throws: the others must not wait for ever.
      if (queue.head !== null && queue.timer === null) this.#arm(queue, queue.head.at - now);
    }
  }

  #remove(queue: Queue, deadline: Deadline): void {
    deadline.expire = null;
    if (deadline.previous === null) queue.head = deadline.next;
    else deadline.previous.next = deadline.next;
    if (deadline.next === null) queue.tail = deadline.previous;
    else deadline.next.previous = deadline.previous;
    // One that outlived a collection would keep all that came behind it.
    deadline.previous = null;
    deadline.next = null;
  }
}
