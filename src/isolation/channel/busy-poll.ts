/** For how long an answer is polled for, in milliseconds: twice what a small one takes, its process being woken up first. */
const PATIENCE_MS = 0.2;
/** After polls in vain, so many calls at most are not polled for before it is tried again. */
const MAX_SKIPPED = 64;

/** What waits for answers to the calls of a channel. */
export interface AnswerWait {
  /** A call was made. */
  begin(call: number): void;
  /** Nobody waits for the call's answer any longer, or nobody has. */
  end(call: number): void;
}

/**
 * Keeps the event loop from falling asleep while the answer to a small call is on its way.
 *
 * To sleep and to be woken up costs more than the answer: a core with nothing to do is given back, by a virtual machine
 * to its host, and has to be fetched. So the loop looks for events without waiting for them, for a fifth of a
 * millisecond at most; whatever else comes meanwhile is handled as ever. Where the answers take longer it is left be,
 * but for a try now and then: after each poll in vain the next 1, 2, 4 … 64 calls are not polled for.
 *
 * As sockets do with `SO_BUSY_POLL` (socket(7)), and virtual machines before they halt.
 */
export class BusyPoll implements AnswerWait {
  readonly #now: () => number;
  /** The latest call that is polled for; 0: none. */
  #awaited = 0;
  /** By the clock: when it is given up. */
  #until = 0;
  #isPolling = false;
  /** Calls that are not polled for before the next try. */
  #toSkip = 0;
  /** Skipped after the last poll in vain; 0: the last one was not. */
  #skipped = 0;

  /** @param now a clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  begin(call: number): void {
    if (this.#toSkip > 0) {
      this.#toSkip--;
      return;
    }
    this.#awaited = call;
    this.#until = this.#now() + PATIENCE_MS;
    if (!this.#isPolling) setImmediate(BusyPoll.#look, this);
    this.#isPolling = true;
  }

  end(call: number): void {
    if (call !== this.#awaited) return;
    this.#awaited = 0;
    this.#skipped = 0;
  }

  #giveUp(): void {
    this.#awaited = 0;
    this.#skipped = Math.min(Math.max(2 * this.#skipped, 1), MAX_SKIPPED);
    this.#toSkip = this.#skipped;
  }

  /** At the end of each turn of the loop. With an immediate in its queue the loop does not wait for events. */
  static #look(poll: BusyPoll): void {
    poll.#isPolling = poll.#awaited !== 0 && poll.#now() < poll.#until;
    if (poll.#isPolling) setImmediate(BusyPoll.#look, poll);
    else if (poll.#awaited !== 0) poll.#giveUp();
  }
}
