import type { DeploymentConfig, FallbackConfig, RoutingConfig } from '../../config/types.ts';
import type { Candidate } from '../../plugin-api/routing.ts';
import type { Load } from '../upstream/load.ts';
import type { RequestFault } from '../upstream/request-fault.ts';
import { createTimeouts, type Timeouts } from '../upstream/timeouts.ts';
import type { ResolveUpstream } from '../upstream/upstreams.ts';
import { Cooldown } from './cooldown.ts';
import { RetryBudget } from './retry-budget.ts';

/** One deployment at run time. */
export interface Deployment {
  readonly candidate: Candidate;
  readonly cooldown: Cooldown;
  readonly load: Load;
  readonly timeouts: Timeouts;
  readonly upstream: ResolveUpstream;
}

/** The deployments that serve one model's name. */
export interface Group {
  readonly name: string;
  readonly deployments: readonly Deployment[];
  /** Those of all {@link deployments}, in the same order: what strategies see while nothing is left out. */
  readonly candidates: readonly Candidate[];
  readonly budget: RetryBudget;
  /** Names of the groups to try when this one fails, by what went wrong. */
  readonly fallbacks: Readonly<Record<RequestFault | 'failure', readonly string[]>>;
}

/** Forms the groups, in the order in which their names first appear. */
export function createGroups(
  configs: readonly DeploymentConfig[],
  routing: RoutingConfig,
  resolver: (config: DeploymentConfig, candidate: Candidate) => ResolveUpstream,
): ReadonlyMap<string, Group> {
  const byName = new Map<string, Deployment[]>();
  for (const config of configs) {
    const candidate = toCandidate(config);
    const deployment = {
      candidate,
      cooldown: new Cooldown(routing.allowedFails, routing.cooldownMs),
      load: { inFlight: 0 },
      timeouts: createTimeouts(config),
      upstream: resolver(config, candidate),
    };
    byName.set(config.group, [...(byName.get(config.group) ?? []), deployment]);
  }
  return new Map([...byName].map(([name, deployments]) => [name, toGroup(name, deployments, routing)]));
}

function toGroup(name: string, deployments: readonly Deployment[], routing: RoutingConfig): Group {
  return Object.freeze({
    name,
    deployments: Object.freeze(deployments),
    candidates: Object.freeze(deployments.map(({ candidate }) => candidate)),
    budget: new RetryBudget(),
    fallbacks: Object.freeze({
      failure: fallbacksOf(name, routing.fallbacks) ?? routing.defaultFallbacks,
      context_window: fallbacksOf(name, routing.contextWindowFallbacks) ?? [],
      content_policy: fallbacksOf(name, routing.contentPolicyFallbacks) ?? [],
    }),
  });
}

function fallbacksOf(name: string, configs: readonly FallbackConfig[]): readonly string[] | null {
  const own = configs.filter(({ from }) => from === name);
  return own.length === 0 ? null : own.flatMap(({ to }) => to);
}

function toCandidate(config: DeploymentConfig): Candidate {
  return Object.freeze({
    id: config.id,
    group: config.group,
    model: config.model,
    provider: config.provider,
    weight: config.weight,
    rpm: config.rpm,
    tpm: config.tpm,
    order: config.order,
    inputCostPerToken: config.inputCostPerToken,
    outputCostPerToken: config.outputCostPerToken,
  });
}
