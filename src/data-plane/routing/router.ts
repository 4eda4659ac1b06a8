import type { Logger } from 'winston';
import type { RoutingConfig } from '../../config/types.ts';
import type { Pipeline } from '../../pipeline/types.ts';
import type { Candidate, RouteDecision, RouteLoad, RouteResult } from '../../plugin-api/routing.ts';
import type { RequestScope } from '../../request-scope.ts';
import type { Surface } from '../surface/surface.ts';
import type { Upstream, UpstreamCall } from '../upstream/upstream.ts';
import { backoffMs } from './backoff.ts';
import type { Pass } from './cooldown.ts';
import type { Deployment, Group } from './group.ts';
import { retryAfterMs } from './retry-after.ts';
import { type Random, SimpleShuffle } from './simple-shuffle.ts';

/** When to ask again while an attempt finds out whether the last deployment is well. Milliseconds. */
const PROBE_MS = 1000;

/** A deployment, why it was chosen, and where to send the attempt. */
export interface Choice {
  readonly deployment: Deployment;
  readonly upstream: Upstream;
  readonly decision: RouteDecision;
}

/** What a choice depends on besides the group. */
export interface ChoiceContext {
  readonly pipeline: Pipeline;
  /** `request` is made when a strategy of a plugin asks for it. */
  readonly call: Pick<UpstreamCall, 'request' | 'surface' | 'scope'>;
  /** 1 for the first. */
  readonly attempt: number;
  /** Deployments that have failed in this call. */
  readonly failed: readonly Deployment[];
  /** Deployments that the request cannot be carried to. */
  readonly unfit: readonly Deployment[];
  /** Whether one of the failed may be tried again when there is no other. */
  readonly repeat: boolean;
}

export interface RouterOptions {
  readonly groups: ReadonlyMap<string, Group>;
  readonly routing: RoutingConfig;
  readonly random: Random;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  readonly log: Logger;
}

/** How an attempt went, for the deployment that it was made at. */
export type Verdict =
  /** It works, whatever it said to the request. */
  'well' | 'fault';

/** Chooses deployments, and learns from how the attempts end. */
export class Router {
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #strategy: string;
  readonly #random: Random;
  readonly #default: SimpleShuffle;
  readonly #now: () => number;
  readonly #log: Logger;
  readonly #warned = new Set<string>();

  constructor({ groups, routing, random, now, log }: RouterOptions) {
    this.#groups = groups;
    this.#strategy = routing.strategy;
    this.#random = random;
    this.#default = new SimpleShuffle(random);
    this.#now = now;
    this.#log = log;
  }

  group(name: string): Group | undefined {
    return this.#groups.get(name);
  }

  /** The deployment for the next attempt, `null` when the group has none to offer. A promise if a strategy waits. */
  choose(group: Group, context: ChoiceContext): Choice | null | Promise<Choice | null> {
    const candidates = this.#candidates(group, context);
    if (candidates.length === 0) return null;
    const load = loadOf(group, candidates);
    const strategy = context.pipeline.strategies.get(this.#strategy);
    if (strategy === undefined) {
      this.#warnOfMissingStrategy();
      return this.#toChoice(group, candidates, load, null, context);
    }
    const selected = strategy.select(context.call.request, candidates, load, context.call.scope);
    return selected instanceof Promise
      ? selected.then((chosen) => this.#toChoice(group, candidates, load, chosen, context))
      : this.#toChoice(group, candidates, load, selected, context);
  }

  /** @param selected by a plugin's strategy: what is none of the candidates has no deployment, and the default decides */
  #toChoice(
    group: Group,
    candidates: readonly Candidate[],
    load: RouteLoad,
    selected: Candidate | null,
    { call, pipeline, attempt }: ChoiceContext,
  ): Choice | null {
    const isSelected = selected !== null && candidates.includes(selected);
    const candidate = isSelected ? selected : this.#default.select(call.request, candidates, load);
    const strategy = isSelected ? this.#strategy : SimpleShuffle.strategyName;
    const deployment = candidate && group.deployments[group.candidates.indexOf(candidate)];
    const upstream = deployment?.upstream(pipeline.providers);
    if (deployment === undefined || upstream == null) return null;
    return { deployment, upstream, decision: { deployment: deployment.candidate, strategy, attempt } };
  }

  /** A call has come to the group: it pays for a part of a retry. */
  enter(group: Group): void {
    group.budget.earn(this.#now());
  }

  /** Lets an attempt begin; `null` when the deployment has gone out of service since it was chosen. */
  begin({ cooldown }: Deployment): Pass | null {
    return cooldown.begin(this.#now());
  }

  /** What an attempt has shown of its deployment; `null`: nothing, the client left before its answer. */
  judge({ cooldown }: Deployment, pass: Pass, verdict: Verdict | null): void {
    if (verdict === 'fault') cooldown.fail(pass, this.#now());
    else if (verdict === 'well') cooldown.succeed(pass);
    else cooldown.release(pass);
  }

  /** Others are preferred for as long as the upstream wishes. `retryAfter`: its header. */
  rest({ cooldown }: Deployment, retryAfter: string | null): void {
    const ms = retryAfterMs(retryAfter, Date.now());
    if (ms > 0) cooldown.restUntil = this.#now() + ms;
  }

  /** Takes a retry out of the group's budget. False: it is spent, which is logged once. */
  mayRetry(group: Group): boolean {
    if (group.budget.spend(this.#now())) return true;
    this.#warnOnce(
      `budget ${group.name}`,
      `the retry budget of "${group.name}" is spent: failed attempts are not repeated until others succeed`,
    );
    return false;
  }

  /** Milliseconds to wait before a retry there. `failures`: attempts of the call that have failed at this deployment. */
  waitMs({ cooldown }: Deployment, failures: number): number {
    const restMs = Math.max(0, cooldown.restUntil - this.#now());
    return failures === 0 ? restMs : Math.max(restMs, backoffMs(failures, this.#random));
  }

  /** Whether the strategy learns from results. */
  observes(pipeline: Pipeline): boolean {
    return pipeline.strategies.get(this.#strategy)?.observe != null;
  }

  /** How an attempt went, for the strategy. */
  report(pipeline: Pipeline, result: RouteResult, scope: RequestScope | null): void {
    pipeline.strategies.get(this.#strategy)?.observe?.(result, scope);
  }

  /** Warns when nobody provides the strategy that the configuration names. */
  checkStrategy(pipeline: Pipeline): void {
    if (!pipeline.strategies.has(this.#strategy)) this.#warnOfMissingStrategy();
  }

  /** False when there are upstreams for the group, and none of them serves the surface. */
  serves(group: Group, { pipeline, surface }: { pipeline: Pipeline; surface: Surface }): boolean {
    const upstreams = group.deployments.map(({ upstream }) => upstream(pipeline.providers));
    return upstreams.some((upstream) => upstream === null || upstream.serves(surface));
  }

  /** Milliseconds until the first deployment of the group is back in service, or likely to be; 0 when none is out. */
  cooldownLeftMs({ deployments }: Group): number {
    const now = this.#now();
    const soonest = Math.min(...deployments.map(({ cooldown }) => cooldown.until));
    if (soonest > now) return soonest - now;
    return deployments.some(({ cooldown }) => !cooldown.allows(now)) ? PROBE_MS : 0;
  }

  /** Those in service that have not failed in this call; if there are none and it makes sense, those that have. */
  #candidates(group: Group, context: ChoiceContext): readonly Candidate[] {
    const { failed, unfit, repeat, pipeline, call } = context;
    const { surface } = call;
    const now = this.#now();
    // The common call finds every deployment ready: nothing is filtered for it.
    const isFirst = failed.length === 0 && unfit.length === 0;
    if (isFirst && this.#allReady(group, pipeline, surface, now)) return group.candidates;
    const inService = group.deployments.filter(
      (deployment) => !unfit.includes(deployment) && this.#isInService(deployment, pipeline, surface, now),
    );
    const fresh = inService.filter((deployment) => !failed.includes(deployment));
    const usable = fresh.length === 0 && repeat ? inService : fresh;
    const awake = usable.filter(({ cooldown }) => cooldown.restUntil <= now);
    return Object.freeze((awake.length === 0 ? usable : awake).map(({ candidate }) => candidate));
  }

  #allReady(group: Group, pipeline: Pipeline, surface: Surface, now: number): boolean {
    for (const deployment of group.deployments) {
      if (deployment.cooldown.restUntil > now) return false;
      if (!this.#isInService(deployment, pipeline, surface, now)) return false;
    }
    return true;
  }

  #isInService(deployment: Deployment, pipeline: Pipeline, surface: Surface, now: number): boolean {
    return deployment.cooldown.allows(now) && this.#isServed(deployment, pipeline, surface);
  }

  #isServed({ candidate, upstream }: Deployment, pipeline: Pipeline, surface: Surface): boolean {
    const served = upstream(pipeline.providers);
    if (served !== null) return served.serves(surface);
    const { id, provider } = candidate;
    this.#warnOnce(
      `provider ${id}`,
      `deployment "${id}" is left out: nobody provides "${provider}"; set api_base for an OpenAI-compatible upstream, or load a plugin that registers the provider`,
    );
    return false;
  }

  #warnOfMissingStrategy(): void {
    if (this.#strategy === SimpleShuffle.strategyName) return;
    this.#warnOnce(
      `strategy ${this.#strategy}`,
      `router_settings.routing_strategy is "${this.#strategy}", which no started plugin provides: ${SimpleShuffle.strategyName} decides. "routeiq plugins check" tells which plugins have not started, and why`,
    );
  }

  #warnOnce(key: string, message: string): void {
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.#log.warn(message);
  }
}

function loadOf({ deployments, candidates: all }: Group, candidates: readonly Candidate[]): RouteLoad {
  const inFlight = candidates.map((candidate) => deployments[all.indexOf(candidate)]?.load.inFlight ?? 0);
  return Object.freeze({ inFlight: Object.freeze(inFlight) });
}
