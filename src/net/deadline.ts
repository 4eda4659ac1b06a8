/** The clocks of one outbound request, behind one signal. Node's timers, because undici's own are a second coarse. */
export interface Deadline {
  /** Aborted when a clock has run out (a `TimeoutError`) or the caller's signal is (its reason). */
  readonly signal: AbortSignal;
  /** Starts the clock of a phase, instead of the one that runs. */
  enter(phase: string, timeoutMs: number): void;
  /** Stops the clock of the phase: the next delay is the caller's own. */
  readonly leave: () => void;
  /** Stops everything. */
  readonly end: () => void;
}

/** Starts the clock of a whole request. */
export function startDeadline(totalTimeoutMs: number, caller: AbortSignal | null): Deadline {
  const controller = new AbortController();
  let phaseTimer: NodeJS.Timeout | undefined;
  // Not waited for at exit: an answer that nobody reads is no reason to stay.
  const totalTimer = expire('the whole request', totalTimeoutMs).unref();
  const onAbort = () => abort(caller?.reason);
  caller?.addEventListener('abort', onAbort);
  if (caller?.aborted) onAbort();

  function expire(what: string, timeoutMs: number): NodeJS.Timeout {
    return setTimeout(() => abort(timeoutError(what, timeoutMs)), timeoutMs);
  }

  function abort(reason: unknown): void {
    end();
    controller.abort(reason);
  }

  function end(): void {
    clearTimeout(phaseTimer);
    clearTimeout(totalTimer);
    caller?.removeEventListener('abort', onAbort);
  }

  return {
    signal: controller.signal,
    enter(phase, timeoutMs) {
      clearTimeout(phaseTimer);
      phaseTimer = expire(phase, timeoutMs);
    },
    leave: () => clearTimeout(phaseTimer),
    end,
  };
}

function timeoutError(what: string, timeoutMs: number): DOMException {
  return new DOMException(`Outbound request: ${what} took longer than ${timeoutMs} ms`, 'TimeoutError');
}
