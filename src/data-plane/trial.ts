import type { Logger } from 'winston';
import { Deadlines } from '../deadlines.ts';
import { GatewayError } from '../errors.ts';
import type { LlmPhases } from '../pipeline/types.ts';
import { toClientError } from '../wire/error-response.ts';
import type { Call } from './call.ts';
import { mayUse, modelNotFound, notServed } from './models.ts';
import { type AttemptContext, type Routed, RoutedAttempt } from './routed-attempt.ts';
import type { Pass } from './routing/cooldown.ts';
import type { Deployment, Group } from './routing/group.ts';
import { LONGEST_WAIT_MS } from './routing/retry-after.ts';
import type { Choice, Router } from './routing/router.ts';
import { UpstreamFailure } from './upstream/failure.ts';

export interface TrialOptions {
  readonly router: Router;
  /** Attempts in one group after the first. */
  readonly numRetries: number;
  /** See {@link AttemptOptions.keepAliveMs}. */
  readonly keepAliveMs: number;
  readonly log: Logger;
}

/** Tries deployments until one answers: the group's, then those of the groups that it falls back to. */
export class Trial {
  readonly #router: Router;
  readonly #numRetries: number;
  readonly #attempts: AttemptContext;

  constructor({ router, numRetries, keepAliveMs, log }: TrialOptions) {
    this.#router = router;
    this.#numRetries = numRetries;
    this.#attempts = { router, keepAliveMs, deadlines: new Deadlines(() => performance.now()), log };
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
      if (call.llm.onRoute !== null) await this.#announce(call, call.llm.onRoute, choice, pass);
      const attempt = new RoutedAttempt(this.#attempts, call, choice, pass);
      const result = attempt.conclude(await attempt.send());
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
