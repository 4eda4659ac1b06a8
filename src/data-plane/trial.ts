import type { Logger } from 'winston';
import { GatewayError } from '../errors.ts';
import type { Call } from './call.ts';
import { deliverStream } from './deliver.ts';
import { EventQueue } from './event-queue.ts';
import { mayUse, modelNotFound, notServed } from './models.ts';
import { Relay } from './relay.ts';
import type { Deployment, Group } from './routing/group.ts';
import type { Choice, Router } from './routing/router.ts';
import { Attempt } from './upstream/attempt.ts';
import { UpstreamFailure } from './upstream/failure.ts';
import type { AttemptOutcome, EventSink, WholeAnswer } from './upstream/outcome.ts';

export interface TrialOptions {
  readonly router: Router;
  /** Attempts in one group after the first. */
  readonly numRetries: number;
  readonly log: Logger;
}

/** What a call has got from upstreams: a whole answer, or a stream that has begun. */
export type Routed = WholeAnswer | RoutedStream;

export interface RoutedStream {
  readonly kind: 'streaming';
  /** Resolves when the client has it all, or is gone. Throws the {@link UpstreamFailure} of a stream that broke. */
  readonly play: () => Promise<void>;
  /** Tells the router how it went; `null` is well. */
  readonly report: (failure: UpstreamFailure | null) => void;
}

/** Tries deployments until one answers: the group's, then those of the groups that it falls back to. */
export class Trial {
  readonly #router: Router;
  readonly #numRetries: number;
  readonly #log: Logger;

  constructor({ router, numRetries, log }: TrialOptions) {
    this.#router = router;
    this.#numRetries = numRetries;
    this.#log = log;
  }

  /**
   * Resolves to `null` when the client has gone.
   *
   * @throws GatewayError `model_not_found`, also for a model that does not serve the surface; `no_deployment_available`
   * @throws UpstreamFailure of the last attempt
   */
  async run(call: Call): Promise<Routed | null> {
    const group = this.#router.group(call.body.model);
    if (group === undefined) throw modelNotFound(call.body.model);
    let last: UpstreamFailure | null = null;
    for (const each of this.#groupsFor(call, group)) {
      const result = await this.#tryGroup(call, each);
      if (!(result instanceof UpstreamFailure)) {
        if (result !== 'none') return result;
      } else if (result.retry === 'never') throw result;
      else last = result;
    }
    if (last === null && !this.#router.serves(group, call))
      throw notServed(call.body.model, call.surface.path);
    throw last ?? this.#unavailable(group);
  }

  *#groupsFor(call: Call, group: Group): Generator<Group> {
    yield group;
    for (const name of group.fallbacks) {
      const fallback = this.#router.group(name);
      // A fallback is no way around the limits of a key.
      if (fallback !== undefined && mayUse(call.identity, name)) yield fallback;
    }
  }

  /** The answer; the last failure; or `none` when the group has no deployment in service. */
  async #tryGroup(call: Call, group: Group): Promise<Routed | null | UpstreamFailure | 'none'> {
    const failed: Deployment[] = [];
    let last: UpstreamFailure | null = null;
    for (let left = this.#numRetries; left >= 0; left--) {
      const choice = await this.#choose(call, group, failed, last);
      if (choice === null) break;
      if (failed.includes(choice.deployment)) await this.#backOff(call, failed.length);
      if (call.answer.gone) return null;
      const result = await this.#try(call, choice);
      if (!(result instanceof UpstreamFailure)) return result;
      last = result;
      if (last.retry === 'never') break;
      failed.push(choice.deployment);
    }
    return last ?? 'none';
  }

  #choose(
    call: Call,
    group: Group,
    failed: readonly Deployment[],
    last: UpstreamFailure | null,
  ): Promise<Choice | null> {
    return this.#router.choose(group, {
      pipeline: call.pipeline,
      call,
      attempt: call.answer.attempts + 1,
      failed,
      repeat: last === null || last.retry === 'anywhere',
    });
  }

  async #backOff(call: Call, failures: number): Promise<void> {
    call.answer.beginWait();
    await call.sleep(this.#router.backoffMs(failures));
    call.answer.endWait();
  }

  async #try(call: Call, choice: Choice): Promise<Routed | null | UpstreamFailure> {
    const { candidate, timeouts } = choice.deployment;
    const { onRoute } = call.llm;
    if (onRoute !== null) await onRoute(call.request, choice.decision);
    call.answer.attempts++;
    call.answer.deployment = candidate.id;
    call.candidate = candidate;

    const sink = sinkFor(call);
    const attempt = new Attempt({
      deployment: candidate.id,
      redact: choice.upstream.redact,
      surface: call.surface,
      totalMs: call.stream || call.surface.answer === 'bytes' ? timeouts.streamTotalMs : timeouts.totalMs,
      sink,
    });
    const sentAt = performance.now();
    call.attempt = attempt;
    call.answer.beginWait();
    choice.upstream.send(call, attempt);
    const outcome = await attempt.outcome;
    call.answer.endWait();

    const report = (failure: UpstreamFailure | null): void =>
      this.#report(call, choice, attempt, sentAt, failure);
    if (outcome.kind === 'streaming') return { kind: 'streaming', play: () => play(call, sink), report };
    return settle(outcome, report);
  }

  #report(
    call: Call,
    choice: Choice,
    attempt: Attempt,
    sentAt: number,
    failure: UpstreamFailure | null,
  ): void {
    const { candidate } = choice.deployment;
    const { status, firstByteAt } = attempt;
    if (failure !== null) {
      const { code, hint } = failure.error;
      this.#log.warn('upstream attempt failed', {
        requestId: call.id,
        deployment: candidate.id,
        attempt: choice.decision.attempt,
        code,
        status,
        hint,
      });
    }
    this.#router.report(call.pipeline, choice.deployment, failure !== null && failure.retry !== 'never', {
      deployment: candidate,
      ok: failure === null,
      status,
      totalMs: performance.now() - sentAt,
      firstByteMs: firstByteAt === null ? null : firstByteAt - sentAt,
    });
  }

  #unavailable(group: Group): UpstreamFailure {
    const seconds = Math.ceil(this.#router.cooldownLeftMs(group) / 1000);
    const error = new GatewayError(
      'no_deployment_available',
      `No deployment of the model "${group.name}" is in service`,
      { param: 'model' },
    );
    return new UpstreamFailure(error, {
      retry: 'never',
      retryAfter: seconds > 0 && Number.isFinite(seconds) ? String(seconds) : null,
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

function settle(
  outcome: Exclude<AttemptOutcome, { kind: 'streaming' }>,
  report: (failure: UpstreamFailure | null) => void,
): WholeAnswer | null | UpstreamFailure {
  if (outcome.kind === 'aborted') return null;
  if (outcome.kind === 'failed') {
    report(outcome.failure);
    return outcome.failure;
  }
  report(null);
  return outcome;
}
