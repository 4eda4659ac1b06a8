import { AsyncVariable } from '../async-variable.ts';
import { Deadlines } from '../deadlines.ts';
import {
  clientErrorStatus,
  GatewayError,
  isGatewayError,
  PluginTimeoutError,
  toError,
  WrongAnswerError,
} from '../errors.ts';
import type { RequestScope } from '../request-scope.ts';
import { blameByStack } from './blame.ts';
import type { CallContext, FailureKind, Owner, Phase } from './owner.ts';
import { Spotlight } from './spotlight.ts';

/** What a call into a plugin is, besides the function to call. */
export interface CallSite<T> {
  readonly owner: Owner;
  readonly phase: Phase;
  /** Named in messages, for example `evaluator "no-secrets"`. */
  readonly what: string;
  /** Returns the checked value, or throws an error that says what was seen and what was expected. */
  readonly check: (value: unknown) => T;
  /** Default: the owner's `callTimeoutMs`. */
  readonly timeoutMs?: number;
  /** What the call is about, read when it fails: once its signal is aborted nobody waits for the call any more. */
  readonly about?: { readonly signal: AbortSignal };
}

/** How often a call that waits for another plugin gets its time again. Bounds endless loops of short waits. */
const MAX_GRACES = 10;

/**
 * The guard around plugin code. Every call made through it has an owner (kept in asynchronous context, so that what
 * surfaces later can be blamed too), a deadline and a result that is checked.
 */
export class Containment {
  readonly #context = new AsyncVariable<CallContext>();
  readonly #owners = new Set<Owner>();
  /** How many calls into other plugins (tools, storage) a call is waiting for. */
  readonly #waits = new WeakMap<CallContext, number>();
  readonly #excused = new WeakSet<object>();
  readonly now: () => number;
  readonly deadlines: Deadlines;
  /** Shows whose code runs, for whoever watches this thread from another one. */
  readonly spotlight: Spotlight = new Spotlight();

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
    this.deadlines = new Deadlines(now);
  }

  /** Makes an owner known, so that it can be recognised in a stack. */
  adopt(owner: Owner): void {
    this.#owners.add(owner);
    this.spotlight.enroll(owner);
  }

  /** Forgets an owner whose code can no longer run. */
  disown(owner: Owner): void {
    this.#owners.delete(owner);
    this.spotlight.forget(owner);
  }

  /** What the running code belongs to; `undefined` for the gateway's own. */
  current(): CallContext | undefined {
    return this.#context.get();
  }

  /** Runs `fn` as code of `context`, or as the gateway's own when `undefined`. */
  runAs<T>(context: CallContext | undefined, fn: () => T): T {
    const before = this.spotlight.turnTo(context);
    try {
      return this.#context.run(context, fn);
    } finally {
      this.spotlight.turnBack(before);
    }
  }

  /**
   * Calls into a plugin.
   *
   * @throws an error with a `status` from 400 to 499 as the plugin threw it: that is an answer. Everything else is
   * counted as a failure of the owner and thrown as `plugin_error` or `plugin_timeout`.
   */
  async call<T>(site: CallSite<T>, request: RequestScope | null, fn: () => unknown): Promise<T> {
    return this.enter(site, request, fn);
  }

  /**
   * {@link call} for the way of every request: a plugin that answers at once is answered for at once, with a value or
   * a throw. What it has begun then, and has not waited for, is still known as its own.
   */
  enter<T>(site: CallSite<T>, request: RequestScope | null, fn: () => unknown): T | Promise<T> {
    const context: CallContext = { owner: site.owner, phase: site.phase, request };
    const caller = this.current();
    const started = this.now();
    site.owner.counters(site.phase).calls++;
    let isPending = false;
    try {
      const value = this.runAs(context, () => adopted(fn()));
      if (!(value instanceof Promise)) return this.#checked(site, request, value);
      if (caller !== undefined) this.#countWait(caller, 1);
      isPending = true;
      return this.#outcome(site, context, caller, started, value);
    } catch (thrown) {
      throw this.#judge(site, request, thrown);
    } finally {
      if (!isPending) this.charge(site, request, started);
    }
  }

  /**
   * True when a call whose time is up gets it again: it waits for another plugin, which has a deadline of its own and
   * is the one to blame.
   *
   * @param graces how often it has got it already
   */
  mayWaitOn(context: CallContext, graces: number): boolean {
    return graces < MAX_GRACES && (this.#waits.get(context) ?? 0) > 0;
  }

  /** Puts down what a call took that began at `started`: to its plugin, and to its request. */
  charge(
    { owner, phase }: Pick<CallSite<unknown>, 'owner' | 'phase'>,
    request: RequestScope | null,
    started: number,
  ): void {
    const ms = this.now() - started;
    owner.counters(phase).seconds += ms / 1000;
    request?.costs?.charge(owner.name, phase, ms);
  }

  /** Counts a failure of `owner` and tells it. */
  fail(owner: Owner, phase: Phase, kind: FailureKind, error: Error, request: RequestScope | null): void {
    const counters = owner.counters(phase);
    counters.failures++;
    if (kind === 'timeout') counters.timeouts++;
    owner.fail({ phase, kind, error, requestId: request?.id ?? null });
  }

  /**
   * Blames what surfaced outside of any call (an unhandled rejection, an uncaught exception): on the owner of the
   * asynchronous context, else on the owner of the innermost plugin frame in the stack. False: nobody's.
   */
  blame(thrown: unknown, kind: FailureKind = 'late'): boolean {
    const context = this.current();
    const owner = context?.owner ?? blameByStack(thrown, this.#owners);
    if (owner === undefined) return false;
    this.fail(owner, context?.phase ?? 'background', kind, toError(thrown), context?.request ?? null);
    return true;
  }

  /** Takes note that an error is a failure that was counted where it was found, however many calls end with it. */
  excuse(error: GatewayError): void {
    this.#excused.add(error);
  }

  isExcused(thrown: unknown): thrown is GatewayError {
    return typeof thrown === 'object' && thrown !== null && this.#excused.has(thrown);
  }

  /** What a promise of the plugin comes to. */
  async #outcome<T>(
    site: CallSite<T>,
    context: CallContext,
    caller: CallContext | undefined,
    started: number,
    promise: Promise<unknown>,
  ): Promise<T> {
    const { request } = context;
    try {
      return this.#checked(site, request, await this.#settle(site, context, promise));
    } catch (thrown) {
      throw this.#judge(site, request, thrown);
    } finally {
      this.charge(site, request, started);
      if (caller !== undefined) this.#countWait(caller, -1);
    }
  }

  /** Waits for a promise of the plugin, no longer than its deadline. What it does later is discarded. */
  #settle<T>(site: CallSite<T>, context: CallContext, promise: Promise<unknown>): Promise<unknown> {
    const timeoutMs = site.timeoutMs ?? site.owner.callTimeoutMs;
    return new Promise((resolve, reject) => {
      let graces = 0;
      const expire = (): void => {
        if (this.mayWaitOn(context, graces++)) deadline = this.deadlines.set(timeoutMs, expire);
        else reject(timeoutError(site, timeoutMs));
      };
      let deadline = this.deadlines.set(timeoutMs, expire);
      promise.then(
        (value) => {
          this.deadlines.cancel(deadline);
          resolve(value);
        },
        (reason) => {
          this.deadlines.cancel(deadline);
          reject(reason);
        },
      );
    });
  }

  #countWait(caller: CallContext, change: 1 | -1): void {
    this.#waits.set(caller, (this.#waits.get(caller) ?? 0) + change);
  }

  #checked<T>(site: CallSite<T>, request: RequestScope | null, value: unknown): T {
    try {
      return site.check(value);
    } catch (cause) {
      throw new CountedError(this.#wrong(site, request, cause));
    }
  }

  #wrong<T>(site: CallSite<T>, request: RequestScope | null, cause: unknown): GatewayError {
    const message = `Plugin "${site.owner.name}": ${site.what} answered wrongly: ${toError(cause).message}`;
    const error = new GatewayError('plugin_error', message, { plugin: site.owner.name, cause });
    this.fail(site.owner, site.phase, 'invalid', error, request);
    return error;
  }

  #judge<T>(site: CallSite<T>, request: RequestScope | null, thrown: unknown): unknown {
    if (thrown instanceof CountedError) return thrown.error;
    if (isAnswer(thrown)) return thrown;
    if (thrown instanceof WrongAnswerError) return this.#wrong(site, request, thrown);
    if (thrown instanceof DeadlineError) {
      this.fail(site.owner, site.phase, 'timeout', thrown.error, request);
      return thrown.error;
    }
    if (isStorageFailure(thrown) || this.isExcused(thrown)) return thrown;
    if (site.about?.signal.aborted === true) return clientGone();
    const error = toError(thrown);
    this.fail(site.owner, site.phase, 'error', error, request);
    const message = `Plugin "${site.owner.name}": ${site.what} failed`;
    return new GatewayError('plugin_error', message, { plugin: site.owner.name, cause: error });
  }
}

/** True for errors that are an answer to the client rather than a failure of the plugin. */
export function isAnswer(thrown: unknown): boolean {
  try {
    return clientErrorStatus(thrown) !== undefined;
  } catch {
    return false;
  }
}

/**
 * True for the store's failure: the plugin that passes it on is not to blame, and was told so on purpose. Nor is a
 * backend whose server is away: to quarantine it would only keep the store shut for longer than the server is away.
 */
export function isStorageFailure(thrown: unknown): thrown is GatewayError {
  try {
    return isGatewayError(thrown) && thrown.code === 'storage_unavailable';
  } catch {
    return false;
  }
}

/**
 * An answer that nobody reads. What breaks because the client hung up is no failure: anyone could quarantine a plugin,
 * and with it whatever it guards, by hanging up.
 */
function clientGone(): GatewayError {
  return new GatewayError('invalid_request', 'The client has gone', { status: 499 });
}

/** Any value passes: for calls whose result nobody reads. */
export function ignoreResult(): void {}

/** Internal wrapper: the failure was counted where it was found. */
class CountedError {
  readonly error: Error;
  constructor(error: Error) {
    this.error = error;
  }
}

/** Internal wrapper: a plugin cannot make one, so that a time-out cannot be feigned. */
class DeadlineError {
  readonly error: PluginTimeoutError;
  constructor(error: PluginTimeoutError) {
    this.error = error;
  }
}

function timeoutError<T>(site: CallSite<T>, timeoutMs: number): DeadlineError {
  const message = `Plugin "${site.owner.name}": ${site.what} did not settle within ${timeoutMs} ms`;
  return new DeadlineError(new PluginTimeoutError(message, { plugin: site.owner.name }));
}

/** A thenable as a promise, made while the plugin's context is on: its `then` is the plugin's code. */
function adopted(value: unknown): unknown {
  return isThenable(value) ? Promise.resolve(value) : value;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}
