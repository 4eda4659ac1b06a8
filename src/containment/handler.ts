import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Deadline } from '../deadlines.ts';
import { GatewayError, PluginTimeoutError, toError } from '../errors.ts';
import { scopeOf } from '../request-scope.ts';
import { type Containment, isAnswer, isStorageFailure } from './containment.ts';
import type { CallContext, FailureKind, Owner, Phase } from './owner.ts';

/** What happens to a request when a plugin's handler fails before it has answered. */
export type OnFailure = (error: GatewayError, req: Request, res: Response, next: NextFunction) => void;

/** How a call into a handler ended, told once: to trials, which must know. `null`: the client left before. */
export type OnSettled = (succeeded: boolean | null) => void;

export interface HandlerSite {
  readonly owner: Owner;
  readonly phase: Phase;
  /** Named in messages, for example `GET /hello`. */
  readonly what: string;
  readonly onFailure: OnFailure;
}

/** Marks a response that has an `error` listener already, so that a request gets one however many plugins see it. */
const guarded = new WeakSet<Response>();

/**
 * An Express handler of a plugin, contained: it may throw, reject, hang, hand on twice, answer twice or write after
 * the end, and the request still gets exactly one answer. Whatever runs after its `next()` runs as the gateway's code
 * again, so that nobody is blamed for what others do.
 */
export function containHandler(
  containment: Containment,
  site: HandlerSite,
  handler: RequestHandler,
  onSettled?: OnSettled,
): RequestHandler {
  return function contained(req, res, next) {
    guardResponse(containment, res);
    new HandlerCall(containment, site, req, res, next, onSettled).run(handler);
  };
}

/** Without a listener, a write after the end would be an uncaught exception. */
export function guardResponse(containment: Containment, res: Response): void {
  if (guarded.has(res)) return;
  guarded.add(res);
  res.on('error', (error) => {
    containment.blame(error, 'protocol');
  });
}

class HandlerCall {
  readonly #containment: Containment;
  readonly #site: HandlerSite;
  readonly #req: Request;
  readonly #res: Response;
  readonly #next: NextFunction;
  readonly #onSettled: OnSettled | undefined;
  readonly #context: CallContext;
  readonly #outer: CallContext | undefined;
  readonly #started: number;
  #deadline: Deadline;
  #onClose: (() => void) | null = null;
  #graces = 0;
  /** `left`: the client has gone before the whole answer was out. */
  #state: 'running' | 'handed-on' | 'over' | 'left' = 'running';

  constructor(
    containment: Containment,
    site: HandlerSite,
    req: Request,
    res: Response,
    next: NextFunction,
    onSettled: OnSettled | undefined,
  ) {
    this.#containment = containment;
    this.#site = site;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#onSettled = onSettled;
    this.#context = { owner: site.owner, phase: site.phase, request: scopeOf(req) };
    this.#outer = containment.current();
    this.#started = containment.now();
    this.#deadline = containment.deadlines.set(site.owner.callTimeoutMs, () => this.#expire());
    site.owner.counters(site.phase).calls++;
  }

  run(handler: RequestHandler): void {
    if (this.#res.closed) {
      // Its `close` has been and nobody reads an answer: the call would never settle.
      this.#settle('left', null);
      return;
    }
    // No function literal is assigned to a member here: V8 would allocate it among the old objects, and all that it
    // sees would outlive every collection of the young ones.
    const onClose = (): void => this.#closed();
    this.#onClose = onClose;
    this.#res.once('close', onClose);
    this.#containment.runAs(this.#context, () => {
      try {
        const returned: unknown = handler(this.#req, this.#res, (argument?: unknown) =>
          this.#handOn(argument),
        );
        if (returned instanceof Promise) returned.catch((reason) => this.#thrown(reason));
      } catch (thrown) {
        this.#thrown(thrown);
      }
    });
  }

  /** The `next` that the plugin gets. `next('route')` and `next('router')` hand on like `next()`. */
  #handOn(argument: unknown): void {
    if (argument !== undefined && argument !== null && argument !== 'route' && argument !== 'router') {
      this.#thrown(argument);
    } else if (this.#state === 'handed-on') {
      this.#count('protocol', new Error(`${this.#site.what} called next() twice`));
    } else if (this.#state === 'running' && this.#res.headersSent) {
      this.#count('protocol', new Error(`${this.#site.what} called next() after it had begun to answer`));
    } else if (this.#state === 'running') {
      this.#settle('handed-on', true);
      this.#goOn();
    }
  }

  /** Downstream is not the plugin's: its context ends here, and so does its blame for exceptions. */
  #goOn(): void {
    this.#containment.runAs(this.#outer, () => {
      try {
        this.#next();
      } catch (thrown) {
        this.#next(toError(thrown));
      }
    });
  }

  /** A throw, a rejection or `next(error)`. Once the call is over, or handed on, all that is left is to count it. */
  #thrown(thrown: unknown): void {
    // What breaks because the client hung up is no failure: anyone could quarantine a plugin by hanging up.
    if (this.#state === 'left') return;
    if (this.#state === 'running' && isAnswer(thrown) && !this.#res.headersSent) {
      this.#settle('over', true);
      this.#containment.runAs(this.#outer, () => this.#next(thrown));
      return;
    }
    if (isStorageFailure(thrown) || this.#containment.isExcused(thrown)) {
      this.#giveUp(thrown);
      return;
    }
    const cause = toError(thrown);
    this.#count('error', cause);
    const message = `Plugin "${this.#site.owner.name}": ${this.#site.what} failed`;
    this.#giveUp(new GatewayError('plugin_error', message, { plugin: this.#site.owner.name, cause }));
  }

  /** An answer that has begun is not cut, however long it streams. */
  #expire(): void {
    if (this.#state !== 'running' || this.#res.headersSent) return;
    const { owner, what } = this.#site;
    if (this.#containment.mayWaitOn(this.#context, this.#graces++)) {
      this.#deadline = this.#containment.deadlines.set(owner.callTimeoutMs, () => this.#expire());
      return;
    }
    const message = `Plugin "${owner.name}": ${what} neither answered nor handed on within ${owner.callTimeoutMs} ms`;
    const error = new PluginTimeoutError(message, { plugin: owner.name });
    this.#count('timeout', error);
    this.#giveUp(error);
  }

  /** The answer is out; or the plugin gave it up; or the client left, which says nothing about the plugin. */
  #closed(): void {
    const { errored, headersSent, writableFinished } = this.#res;
    if (errored !== null) this.#settle('over', false);
    else this.#settle(writableFinished ? 'over' : 'left', headersSent ? true : null);
  }

  #giveUp(error: GatewayError): void {
    if (this.#state !== 'running') return;
    this.#settle('over', false);
    if (this.#res.writableEnded) return;
    if (this.#res.headersSent) {
      // Began to answer, then failed: the client must not wait for a rest that never comes, nor take it for whole.
      this.#res.destroy();
      return;
    }
    this.#containment.runAs(this.#outer, () => this.#site.onFailure(error, this.#req, this.#res, this.#next));
  }

  #count(kind: FailureKind, error: Error): void {
    this.#containment.fail(this.#site.owner, this.#site.phase, kind, error, this.#context.request);
  }

  #settle(state: 'handed-on' | 'over' | 'left', succeeded: boolean | null): void {
    if (this.#state !== 'running') return;
    this.#state = state;
    if (this.#onClose !== null) this.#res.off('close', this.#onClose);
    this.#containment.deadlines.cancel(this.#deadline);
    this.#containment.charge(this.#site, this.#context.request, this.#started);
    this.#onSettled?.(succeeded);
  }
}
