import type { Logger } from 'winston';
import type { Deadlines } from '../deadlines.ts';
import type { LlmUsage } from '../plugin-api/llm.ts';
import type { Candidate } from '../plugin-api/routing.ts';
import { NO_DEPLOYMENT } from '../wire/headers.ts';
import type { Call } from './call.ts';
import { deliverStream } from './deliver.ts';
import { EventQueue } from './event-queue.ts';
import { Relay } from './relay.ts';
import type { Pass } from './routing/cooldown.ts';
import type { Choice, Router } from './routing/router.ts';
import { usageInEvents, usageOf } from './surface/usage.ts';
import { Attempt } from './upstream/attempt.ts';
import type { UpstreamFailure } from './upstream/failure.ts';
import type { AttemptOutcome, EventSink, WholeAnswer } from './upstream/outcome.ts';
import { deadlinesFor } from './upstream/timeouts.ts';

/** What a call has got from upstreams: a whole answer, or a stream that has begun. */
export type Routed = WholeAnswer | RoutedStream;

export interface RoutedStream {
  readonly kind: 'streaming';
  /** Resolves when the client has it all, or is gone. Throws the {@link UpstreamFailure} of a stream that broke. */
  readonly play: () => Promise<void>;
  /** Tells the router how it went; `null` is well. */
  readonly report: (failure: UpstreamFailure | null) => void;
}

/** What attempts share. */
export interface AttemptContext {
  readonly router: Router;
  /** See {@link AttemptOptions.keepAliveMs}. */
  readonly keepAliveMs: number;
  readonly deadlines: Deadlines;
  readonly log: Logger;
}

/** An attempt at the deployment that the router has chosen, and what router, strategy and log are told of it. */
export class RoutedAttempt {
  readonly #context: AttemptContext;
  readonly #call: Call;
  readonly #choice: Choice;
  readonly #pass: Pass;
  /** The deployment that the call was at before. */
  readonly #lastTried: Candidate | null;
  readonly #sink: Relay | EventQueue | null;
  readonly #attempt: Attempt;
  #sentAt = 0;

  constructor(context: AttemptContext, call: Call, choice: Choice, pass: Pass) {
    this.#context = context;
    this.#call = call;
    this.#choice = choice;
    this.#pass = pass;
    this.#lastTried = call.candidate;
    this.#sink = sinkFor(call);
    const { candidate, timeouts, load } = choice.deployment;
    this.#attempt = new Attempt({
      deployment: candidate.id,
      redact: choice.upstream.redact,
      surface: call.surface,
      deadlines: deadlinesFor(call, timeouts),
      timers: context.deadlines,
      load,
      keepAliveMs: context.keepAliveMs,
      sink: this.#sink,
    });
  }

  /** Sends the call. Never rejects. */
  send(): Promise<AttemptOutcome> {
    const { deployment, upstream } = this.#choice;
    const call = this.#call;
    call.answer.attempts++;
    call.answer.deployment = deployment.candidate.id;
    call.candidate = deployment.candidate;
    this.#sentAt = performance.now();
    call.attempt = this.#attempt;
    call.answer.beginWait();
    upstream.send(call, this.#attempt);
    return this.#attempt.outcome;
  }

  /** What the call has of the outcome; `null` when the client has gone. */
  conclude(outcome: AttemptOutcome): Routed | null | UpstreamFailure {
    const { router } = this.#context;
    const { deployment } = this.#choice;
    this.#call.answer.endWait();
    if (outcome.kind === 'aborted') {
      router.judge(deployment, this.#pass, null);
      return null;
    }
    if (outcome.kind === 'streaming') return this.#streaming();
    const failure = outcome.kind === 'failed' ? outcome.failure : null;
    if (failure?.retry === 'unfit') {
      this.#takeBack();
      return failure;
    }
    router.judge(deployment, this.#pass, failure === null || failure.retry === 'never' ? 'well' : 'fault');
    this.#report(failure, usageIn(this.#call, outcome));
    return failure ?? (outcome as WholeAnswer);
  }

  /** Others need not wait for the end of a stream to know that the deployment answers. */
  #streaming(): RoutedStream {
    const { router } = this.#context;
    const { deployment } = this.#choice;
    router.judge(deployment, this.#pass, 'well');
    const report = (failure: UpstreamFailure | null): void => {
      if (failure !== null) router.judge(deployment, 'regular', 'fault');
      this.#report(failure, this.#call.usage);
    };
    // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
    const playNow = (): Promise<void> => play(this.#call, this.#sink);
    return { kind: 'streaming', play: playNow, report };
  }

  /** Nothing was sent: it was no attempt, and the deployment had no part in the call. */
  #takeBack(): void {
    const { answer } = this.#call;
    answer.attempts--;
    answer.deployment = this.#lastTried?.id ?? NO_DEPLOYMENT;
    this.#call.candidate = this.#lastTried;
    this.#context.router.judge(this.#choice.deployment, this.#pass, null);
  }

  #report(failure: UpstreamFailure | null, usage: LlmUsage | null): void {
    if (failure !== null) this.#logFailure(failure);
    const { observed, pipeline, scope, id } = this.#call;
    if (!observed) return;
    const { status, firstByteAt, firstTokenAt } = this.#attempt;
    const since = (time: number | null): number | null => (time === null ? null : time - this.#sentAt);
    this.#context.router.report(
      pipeline,
      Object.freeze({
        requestId: id,
        deployment: this.#choice.deployment.candidate,
        ok: failure === null,
        status,
        totalMs: performance.now() - this.#sentAt,
        firstByteMs: since(firstByteAt),
        firstTokenMs: since(firstTokenAt),
        usage: failure === null ? usage : null,
      }),
      scope,
    );
  }

  #logFailure({ error: { code, hint } }: UpstreamFailure): void {
    const { deployment, attempt } = this.#choice.decision;
    this.#context.log.warn('upstream attempt failed', {
      requestId: this.#call.id,
      deployment: deployment.id,
      attempt,
      code,
      status: this.#attempt.status,
      hint,
    });
  }
}

/**
 * How a streamed answer reaches the client: relayed as it comes while nobody may change it, event by event when hooks
 * or evaluators may, and not before its end (`null`) when the client wants JSON.
 */
function sinkFor(call: Call): Relay | EventQueue | null {
  const { onChunk, onResponse, evaluateOutput } = call.llm;
  const { stream, answer } = call.surface;
  if (answer === 'bytes') return new Relay(call);
  if (!call.stream || stream === null) return null;
  return onChunk === null && onResponse === null && evaluateOutput === null
    ? new Relay(call)
    : new EventQueue(call);
}

async function play(call: Call, sink: EventSink | null): Promise<void> {
  const { stream } = call.surface;
  if (sink instanceof EventQueue && stream !== null) await deliverStream(call, stream, sink);
  if (!(sink instanceof Relay)) return;
  const broken = await sink.finished;
  if (broken !== null) throw broken;
}

/** For a strategy that learns. Streams have been read as they passed. */
function usageIn(call: Call, outcome: AttemptOutcome): LlmUsage | null {
  if (!call.observed) return null;
  if (outcome.kind === 'json') return usageOf(outcome.usage());
  const { stream } = call.surface;
  return outcome.kind === 'events' && stream !== null ? usageInEvents(stream, outcome.body) : null;
}
