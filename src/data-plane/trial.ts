import type { Logger } from 'winston';
import { Deadlines } from '../deadlines.ts';
import { GatewayError } from '../errors.ts';
import type { LlmPhases } from '../pipeline/types.ts';
import type { LlmUsage } from '../plugin-api/llm.ts';
import type { RouteDecision } from '../plugin-api/routing.ts';
import { toClientError } from '../wire/error-response.ts';
import { NO_DEPLOYMENT } from '../wire/headers.ts';
import type { Call } from './call.ts';
import { deliverStream } from './deliver.ts';
import { EventQueue } from './event-queue.ts';
import { mayUse, modelNotFound, notServed } from './models.ts';
import { Relay } from './relay.ts';
import type { Pass } from './routing/cooldown.ts';
import type { Deployment, Group } from './routing/group.ts';
import { LONGEST_WAIT_MS } from './routing/retry-after.ts';
import type { Choice, Router } from './routing/router.ts';
import { usageInEvents, usageOf } from './surface/usage.ts';
import { Attempt } from './upstream/attempt.ts';
import { UpstreamFailure } from './upstream/failure.ts';
import type { AttemptOutcome, EventSink, WholeAnswer } from './upstream/outcome.ts';
import { deadlinesFor } from './upstream/timeouts.ts';

export interface TrialOptions {
  readonly router: Router;
  /** Attempts in one group after the first. */
  readonly numRetries: number;
  /** See {@link AttemptOptions.keepAliveMs}. */
  readonly keepAliveMs: number;
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
  readonly #keepAliveMs: number;
  readonly #log: Logger;
  readonly #timers = new Deadlines(() => performance.now());

  constructor({ router, numRetries, keepAliveMs, log }: TrialOptions) {
    this.#router = router;
    this.#numRetries = numRetries;
    this.#keepAliveMs = keepAliveMs;
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
    call.observed = this.#router.observes(call.pipeline);
    const tried: Group[] = [];
    let last: UpstreamFailure | null = null;
    for (let next: Group | undefined = group; next !== undefined; ) {
      const result = await this.#tryGroup(call, next);
      if (!(result instanceof UpstreamFailure) && result !== 'none') return result;
      if (result !== 'none') last = result;
      tried.push(next);
      next = this.#fallback(call, group, last, tried);
    }
    if (last === null && !this.#router.serves(group, call)) throw notServed(call.body.model, call.surface);
    throw last ?? this.#unavailable(group);
  }

  /** The group to try next: of those named for the fault of the request, else of those for failures. */
  #fallback(
    { identity, surface }: Call,
    group: Group,
    last: UpstreamFailure | null,
    tried: readonly Group[],
  ): Group | undefined {
    // Another model counts otherwise.
    if (surface.name === 'messages.count_tokens') return undefined;
    const isRefused = last !== null && (last.retry === 'never' || last.retry === 'unfit');
    if (isRefused && last.fault === null) return undefined;
    return group.fallbacks[last?.fault ?? 'failure']
      .map((name) => this.#router.group(name))
      .find(
        // A fallback is no way around the limits of a key.
        (next) => next !== undefined && !tried.includes(next) && mayUse(identity, next.name),
      );
  }

  /** The answer; the last failure; or `none` when the group has no deployment in service. */
  async #tryGroup(call: Call, group: Group): Promise<Routed | null | UpstreamFailure | 'none'> {
    this.#router.enter(group);
    const failed: Deployment[] = [];
    const unfit: Deployment[] = [];
    let last: UpstreamFailure | null = null;
    let notSent: UpstreamFailure | null = null;
    while (failed.length <= this.#numRetries) {
      let choice: Choice | null;
      try {
        const chosen = this.#choose(call, group, failed, unfit, last);
        choice = chosen instanceof Promise ? await chosen : chosen;
      } catch (refused) {
        // What an upstream has said tells more than that there is no other one to ask.
        return last ?? limitReached(refused);
      }
      if (choice === null) break;
      if (last !== null && !(await this.#prepareRetry(call, group, choice, failed))) break;
      if (call.answer.gone) return null;
      const pass = this.#router.begin(choice.deployment);
      // Another call has begun to find out whether the deployment is well again.
      if (pass === null) continue;
      const result = await this.#try(call, choice, pass);
      if (!(result instanceof UpstreamFailure)) return result;
      if (result.retry === 'unfit') {
        unfit.push(choice.deployment);
        notSent = result;
        continue;
      }
      last = result;
      if (last.retry === 'never') break;
      this.#router.rest(choice.deployment, last.retryAfter);
      failed.push(choice.deployment);
    }
    return last ?? notSent ?? 'none';
  }

  #choose(
    call: Call,
    group: Group,
    failed: readonly Deployment[],
    unfit: readonly Deployment[],
    last: UpstreamFailure | null,
  ): Choice | null | Promise<Choice | null> {
    return this.#router.choose(group, {
      pipeline: call.pipeline,
      call,
      attempt: call.answer.attempts + 1,
      failed,
      unfit,
      repeat: last === null || last.retry === 'anywhere',
    });
  }

  /** Waits for as long as the deployment needs. False: it wants more than a client has, or the budget is spent. */
  async #prepareRetry(
    call: Call,
    group: Group,
    { deployment }: Choice,
    failed: readonly Deployment[],
  ): Promise<boolean> {
    const failures = failed.filter((each) => each === deployment).length;
    const waitMs = this.#router.waitMs(deployment, failures);
    if (waitMs > LONGEST_WAIT_MS || !this.#router.mayRetry(group)) return false;
    if (waitMs > 0) {
      call.answer.beginWait();
      await call.sleep(waitMs);
      call.answer.endWait();
    }
    return true;
  }

  async #try(call: Call, choice: Choice, pass: Pass): Promise<Routed | null | UpstreamFailure> {
    const { deployment } = choice;
    if (call.llm.onRoute !== null) await this.#announce(call, call.llm.onRoute, choice, pass);
    const { candidate: lastTried } = call;
    call.answer.attempts++;
    call.answer.deployment = deployment.candidate.id;
    call.candidate = deployment.candidate;

    const sink = sinkFor(call);
    const attempt = new Attempt({
      deployment: deployment.candidate.id,
      redact: choice.upstream.redact,
      surface: call.surface,
      deadlines: deadlinesFor(call, deployment.timeouts),
      timers: this.#timers,
      load: deployment.load,
      keepAliveMs: this.#keepAliveMs,
      sink,
    });
    const sentAt = performance.now();
    call.attempt = attempt;
    call.answer.beginWait();
    choice.upstream.send(call, attempt);
    const outcome = await attempt.outcome;
    call.answer.endWait();

    if (outcome.kind === 'aborted') {
      this.#router.judge(deployment, pass, null);
      return null;
    }
    if (outcome.kind === 'streaming') {
      // It has begun to answer: others need not wait for its end.
      this.#router.judge(deployment, pass, 'well');
      const report = (failure: UpstreamFailure | null): void => {
        if (failure !== null) this.#router.judge(deployment, 'regular', 'fault');
        this.#report(call, choice, attempt, sentAt, { failure, usage: call.usage });
      };
      // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
      const playNow = (): Promise<void> => play(call, sink);
      return { kind: 'streaming', play: playNow, report };
    }
    const failure = outcome.kind === 'failed' ? outcome.failure : null;
    if (failure?.retry === 'unfit') {
      // Nothing was sent: it was no attempt, and the deployment had no part in the call.
      call.answer.attempts--;
      call.answer.deployment = lastTried?.id ?? NO_DEPLOYMENT;
      call.candidate = lastTried;
      this.#router.judge(deployment, pass, null);
      return failure;
    }
    this.#router.judge(deployment, pass, failure === null || failure.retry === 'never' ? 'well' : 'fault');
    this.#report(call, choice, attempt, sentAt, { failure, usage: usageIn(call, outcome) });
    return failure ?? (outcome as WholeAnswer);
  }

  /** Hooks that must not be skipped may refuse. */
  async #announce(
    call: Call,
    onRoute: NonNullable<LlmPhases['onRoute']>,
    { deployment, decision }: Choice,
    pass: Pass,
  ): Promise<void> {
    try {
      await onRoute(call.request, decision, call.scope);
    } catch (error) {
      this.#router.judge(deployment, pass, null);
      throw error;
    }
  }

  #report(
    call: Call,
    { deployment: { candidate }, decision }: Choice,
    { status, firstByteAt, firstTokenAt }: Attempt,
    sentAt: number,
    { failure, usage }: { readonly failure: UpstreamFailure | null; readonly usage: LlmUsage | null },
  ): void {
    if (failure !== null) this.#logFailure(call, decision, status, failure);
    if (!call.observed) return;
    const since = (time: number | null): number | null => (time === null ? null : time - sentAt);
    this.#router.report(
      call.pipeline,
      Object.freeze({
        requestId: call.id,
        deployment: candidate,
        ok: failure === null,
        status,
        totalMs: performance.now() - sentAt,
        firstByteMs: since(firstByteAt),
        firstTokenMs: since(firstTokenAt),
        usage: failure === null ? usage : null,
      }),
      call.scope,
    );
  }

  #logFailure(
    call: Call,
    { deployment, attempt }: RouteDecision,
    status: number | null,
    { error: { code, hint } }: UpstreamFailure,
  ): void {
    this.#log.warn('upstream attempt failed', {
      requestId: call.id,
      deployment: deployment.id,
      attempt,
      code,
      status,
      hint,
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

/** The strategy has nobody to ask in the group: another group may do it. */
function limitReached(refused: unknown): UpstreamFailure {
  return new UpstreamFailure(toClientError(refused), { retry: 'elsewhere' });
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
