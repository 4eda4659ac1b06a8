import type { Logger } from 'winston';
import type { RoutingConfig } from '../../config/types.ts';
import type { Pipeline } from '../../pipeline/types.ts';
import type { LlmRequest } from '../../plugin-api/llm.ts';
import type { Candidate, RouteDecision, RouteResult } from '../../plugin-api/routing.ts';
import type { Surface } from '../surface/surface.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { backoffMs } from './backoff.ts';
import type { Deployment, Group } from './group.ts';
import { type Random, shuffle } from './shuffle.ts';

/** The strategy that decides when no plugin does. */
export const DEFAULT_STRATEGY = 'simple-shuffle';

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
  readonly call: { readonly request: LlmRequest; readonly surface: Surface };
  /** 1 for the first. */
  readonly attempt: number;
  /** Deployments that have failed in this call. */
  readonly failed: readonly Deployment[];
  /** Whether one of those may be tried again when there is no other. */
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

/** Chooses deployments, and learns from how the attempts end. */
export class Router {
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #strategy: string;
  readonly #random: Random;
  readonly #now: () => number;
  readonly #log: Logger;
  readonly #warned = new Set<string>();

  constructor({ groups, routing, random, now, log }: RouterOptions) {
    this.#groups = groups;
    this.#strategy = routing.strategy;
    this.#random = random;
    this.#now = now;
    this.#log = log;
  }

  group(name: string): Group | undefined {
    return this.#groups.get(name);
  }

  /** The deployment for the next attempt, `null` when the group has none to offer. */
  async choose(group: Group, context: ChoiceContext): Promise<Choice | null> {
    const candidates = this.#candidates(group, context);
    if (candidates.length === 0) return null;
    const decided = await this.#decide(candidates, context);
    const deployment = group.deployments[group.candidates.indexOf(decided.deployment)];
    const upstream = deployment?.upstream(context.pipeline.providers);
    return deployment === undefined || upstream == null ? null : { deployment, upstream, decision: decided };
  }

  /** What an attempt has shown. `fault`: it failed, and not because of the request. */
  report(pipeline: Pipeline, deployment: Deployment, fault: boolean, result: RouteResult): void {
    if (fault) deployment.cooldown.fail(this.#now());
    pipeline.strategies.get(this.#strategy)?.observe?.(result);
  }

  /** False when there are upstreams for the group, and none of them serves the surface. */
  serves(group: Group, { pipeline, surface }: { pipeline: Pipeline; surface: Surface }): boolean {
    const upstreams = group.deployments.map(({ upstream }) => upstream(pipeline.providers));
    return upstreams.some((upstream) => upstream === null || upstream.serves(surface));
  }

  /** Milliseconds until the first deployment of the group is back in service; 0 when none is out. */
  cooldownLeftMs(group: Group): number {
    const soonest = Math.min(...group.deployments.map(({ cooldown }) => cooldown.until));
    return Math.max(0, soonest - this.#now());
  }

  /** How long to wait before trying a deployment that has failed already. */
  backoffMs(failures: number): number {
    return backoffMs(failures, this.#random);
  }

  async #decide(candidates: readonly Candidate[], context: ChoiceContext): Promise<RouteDecision> {
    const { pipeline, attempt } = context;
    const strategy = pipeline.strategies.get(this.#strategy);
    if (strategy === undefined) this.#warnOfMissingStrategy();
    else {
      const chosen = await strategy.select(context.call.request, candidates);
      // Of a plugin: what is none of the candidates has no deployment.
      if (chosen !== null && candidates.includes(chosen)) {
        return { deployment: chosen, strategy: this.#strategy, attempt };
      }
    }
    const deployment = shuffle(candidates, this.#random) as Candidate;
    return { deployment, strategy: DEFAULT_STRATEGY, attempt };
  }

  /** Those in service that have not failed in this call; if there are none and it makes sense, those that have. */
  #candidates(group: Group, context: ChoiceContext): readonly Candidate[] {
    const { failed, repeat, pipeline, call } = context;
    const { surface } = call;
    const now = this.#now();
    // The common call finds every deployment in service: nothing is filtered for it.
    if (failed.length === 0 && this.#allInService(group, pipeline, surface, now)) return group.candidates;
    const inService = group.deployments.filter((deployment) =>
      this.#isInService(deployment, pipeline, surface, now),
    );
    const fresh = inService.filter((deployment) => !failed.includes(deployment));
    const usable = fresh.length === 0 && repeat ? inService : fresh;
    return Object.freeze(usable.map(({ candidate }) => candidate));
  }

  #allInService(group: Group, pipeline: Pipeline, surface: Surface, now: number): boolean {
    for (const deployment of group.deployments) {
      if (!this.#isInService(deployment, pipeline, surface, now)) return false;
    }
    return true;
  }

  #isInService(deployment: Deployment, pipeline: Pipeline, surface: Surface, now: number): boolean {
    return deployment.cooldown.until <= now && this.#isServed(deployment, pipeline, surface);
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
    if (this.#strategy === DEFAULT_STRATEGY) return;
    this.#warnOnce(
      `strategy ${this.#strategy}`,
      `router_settings.routing_strategy is "${this.#strategy}", which no plugin provides: ${DEFAULT_STRATEGY} decides`,
    );
  }

  #warnOnce(key: string, message: string): void {
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.#log.warn(message);
  }
}
