import { AsyncResource } from 'node:async_hooks';
import type { Duplex } from 'node:stream';
import { AsyncVariable } from '../../async-variable.ts';
import { toError } from '../../errors.ts';
import type { AnswerWait } from './busy-poll.ts';
import { packError, parseError, unpackError } from './errors.ts';
import { FRAME, type Frame, RubbishError } from './frames.ts';
import { Intake } from './intake.ts';
import { type Message, parseMessage } from './message.ts';
import { Outbox } from './outbox.ts';
import { type ServedCall, Serving } from './serving.ts';
import { StreamTable } from './stream-table.ts';
import type { IncomingStream, OutgoingStream } from './streams.ts';
import { TransientMap } from './transient-map.ts';

/** Bounds of what the other end may send. */
export interface ChannelLimits {
  /** The longest message, in bytes. */
  readonly messageBytes: number;
  /** Frames that nobody asked for, per second. */
  readonly framesPerSecond: number;
  /** Calls of the other end that may be under way. */
  readonly callsAtOnce: number;
  /** Of the loop's time, what may be spent on taking what it sends: 0 to 1. */
  readonly loopShare: number;
}

export interface ChannelOptions {
  /** 0 and 1: which streams are whose. */
  readonly side: 0 | 1;
  readonly limits: ChannelLimits;
  /** Answers a call of the other end. */
  readonly serve: (method: string, params: unknown, call: ServedCall) => unknown;
  /** Takes what wants no answer. */
  readonly hear: (notice: string, params: unknown) => void;
  /** The other end is gone, or has sent what nobody sends who means well. The channel has to be broken then. */
  readonly onLost: (reason: Error) => void;
  /** Told of the calls to the other end. Default: nobody, the loop sleeps until an answer comes. */
  readonly answers?: AnswerWait | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: string, value: unknown) => void) | undefined;
}

/** A call under way. */
export interface StartedCall {
  /** Rejects as {@link Channel.call} does. */
  readonly result: Promise<unknown>;
  /** Rejects the result with `reason`, and tells the other end that nobody waits for it. */
  giveUp(reason: Error): void;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: CallOptions['onEvent'];
  /** Runs what the other end asks for on behalf of this call as if the caller had asked. */
  readonly context: AsyncResource;
}

const RATE_WINDOW_MS = 1000;

/**
 * Calls, notices and streams between two processes, over one duplex stream. The two ends are alike, but for their
 * limits: the gateway believes nothing that comes out of a plugin's process, which may write to the channel what it
 * likes.
 */
export class Channel {
  readonly #duplex: Duplex;
  readonly #options: ChannelOptions;
  readonly #intake: Intake;
  readonly #outbox: Outbox;
  readonly #streams: StreamTable;
  readonly #pending = new TransientMap<number, Pending>();
  readonly #serving = new TransientMap<number, Serving>();
  /** The call that the running code serves. */
  readonly #current = new AsyncVariable<number>();
  readonly #home: AsyncResource = callContext();
  #lastCall = 0;
  #broken: Error | null = null;
  #frames = 0;
  #windowStart = 0;

  constructor(duplex: Duplex, options: ChannelOptions) {
    this.#duplex = duplex;
    this.#options = options;
    this.#outbox = new Outbox(duplex);
    this.#streams = new StreamTable({
      side: options.side,
      send: this.#outbox.send,
      count: () => this.#countFrame(),
    });
    this.#intake = new Intake(duplex, {
      messageBytes: options.limits.messageBytes,
      share: options.limits.loopShare,
      take: (frame) => this.#onFrame(frame),
      onRubbish: (reason) => this.#lost(reason),
    });
    for (const event of ['error', 'close', 'end'])
      duplex.once(event, () => this.#lost(new Error('the channel was closed')));
    // The first one tells enough; unheard, a second would end the process.
    duplex.on('error', ignore);
  }

  /** @throws what the other end threw; the reason when the channel breaks; the signal's reason when it is aborted */
  call(method: string, params: unknown, { signal, onEvent }: CallOptions = {}): Promise<unknown> {
    const call = this.start(method, params, onEvent);
    return signal === undefined ? call.result : abortable(call, signal);
  }

  /** A call for who has no signal to give it up by. */
  start(method: string, params: unknown, onEvent?: CallOptions['onEvent']): StartedCall {
    if (this.#broken !== null) return { result: Promise.reject(this.#broken), giveUp: ignore };
    const id = ++this.#lastCall;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject, onEvent, context: callContext() });
    const caller = this.#current.get();
    this.#outbox.say(
      caller === undefined ? { c: id, m: method, p: params } : { c: id, m: method, p: params, f: caller },
    );
    this.#options.answers?.begin(id);
    // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
    const giveUp = (reason: Error): void => this.#giveUp(id, reason);
    return { result: promise, giveUp };
  }

  notify(notice: string, params: unknown): void {
    const caller = this.#current.get();
    this.#outbox.say(caller === undefined ? { m: notice, p: params } : { m: notice, p: params, f: caller });
  }

  /** An id for a stream to the other end, which may be opened later. */
  reserveStream(): number {
    return this.#streams.reserve();
  }

  /** A stream to the other end, which has to be told its id. */
  open(id: number = this.reserveStream()): OutgoingStream {
    return this.#streams.open(id);
  }

  /**
   * The stream that the other end has told the id of. It has to be taken as soon as it is told.
   *
   * @throws RubbishError when there cannot be one
   */
  accept(id: unknown): IncomingStream {
    return this.#streams.accept(id);
  }

  /** Ends the channel, and with it all that is under way. */
  break(reason: Error): void {
    if (this.#broken !== null) return;
    this.#broken = reason;
    this.#duplex.destroy();
    this.#intake.stop();
    this.#outbox.close();
    for (const { reject } of this.#pending.values()) reject(reason);
    for (const call of this.#serving.values()) call.giveUp(reason);
    this.#streams.break(reason);
    this.#pending.clear();
    this.#serving.clear();
  }

  #lost(reason: Error): void {
    if (this.#broken === null) this.#options.onLost(reason);
  }

  #giveUp(id: number, reason: Error): void {
    const pending = this.#pending.take(id);
    if (pending === undefined) return;
    this.#options.answers?.end(id);
    this.#outbox.say({ a: id });
    pending.reject(reason);
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === FRAME.MESSAGE) this.#onMessage(parseMessage(frame.payload));
    else this.#streams.take(frame);
  }

  #onMessage(message: Message): void {
    if (message.r !== undefined) this.#onResult(message.r, message);
    else if (message.e !== undefined) this.#onEvent(message.e, message);
    else {
      this.#countFrame();
      if (message.a !== undefined) this.#serving.get(message.a)?.giveUp(new Error('the caller gave up'));
      else this.#onRequest(message);
    }
  }

  #onResult(id: number, { p, x }: Message): void {
    const pending = this.#pending.take(id);
    this.#options.answers?.end(id);
    // The caller gave up: a late answer is discarded.
    if (pending === undefined) {
      this.#countFrame();
      return;
    }
    if (x === undefined) pending.resolve(p);
    else pending.reject(unpackError(parseError(x)));
  }

  #onEvent(id: number, { m, p }: Message): void {
    const pending = this.#pending.get(id);
    this.#countFrame();
    if (pending !== undefined && m !== undefined)
      pending.context.runInAsyncScope(() => pending.onEvent?.(m, p));
  }

  #onRequest({ c: id, m: name, p: params, f: caller }: Message): void {
    if (name === undefined) throw new RubbishError('saw a message without a name');
    const { callsAtOnce } = this.#options.limits;
    if (this.#serving.size >= callsAtOnce)
      throw new RubbishError(`saw more than ${callsAtOnce} calls at once`);
    const context = (caller === undefined ? undefined : this.#pending.get(caller)?.context) ?? this.#home;
    context.runInAsyncScope(() => {
      if (id === undefined) this.#options.hear(name, params);
      else void this.#serve(id, name, params);
    });
  }

  async #serve(id: number, method: string, params: unknown): Promise<void> {
    const call = new Serving((event, value) => this.#outbox.say({ e: id, m: event, p: value }));
    this.#serving.set(id, call);
    try {
      const value = await this.#current.run(id, () => this.#options.serve(method, params, call));
      if (!call.isGivenUp) this.#outbox.say({ r: id, p: value });
    } catch (thrown) {
      if (thrown instanceof RubbishError) this.#lost(thrown);
      else if (!call.isGivenUp) this.#outbox.say({ r: id, x: packError(thrown) });
    } finally {
      this.#serving.take(id);
    }
  }

  #countFrame(): void {
    const now = performance.now();
    if (now - this.#windowStart > RATE_WINDOW_MS) {
      this.#windowStart = now;
      this.#frames = 0;
    }
    const { framesPerSecond } = this.#options.limits;
    if (++this.#frames > framesPerSecond)
      throw new RubbishError(`saw more than ${framesPerSecond} messages within a second`);
  }
}

/** The asynchronous context of whoever makes it. Less than `AsyncLocalStorage.snapshot`, which makes a function too. */
function callContext(): AsyncResource {
  return new AsyncResource('PluginCall');
}

async function abortable({ result, giveUp }: StartedCall, signal: AbortSignal): Promise<unknown> {
  const abort = (): void => giveUp(toError(signal.reason));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await result;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function ignore(): void {}
