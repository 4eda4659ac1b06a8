import type { DeploymentConfig, RoutingConfig } from '../../config/types.ts';
import type { Candidate } from '../../plugin-api/routing.ts';
import { createTimeouts, type Timeouts } from '../upstream/timeouts.ts';
import type { ResolveUpstream } from '../upstream/upstreams.ts';
import { Cooldown } from './cooldown.ts';

/** One deployment at run time. */
export interface Deployment {
  readonly candidate: Candidate;
  readonly cooldown: Cooldown;
  readonly timeouts: Timeouts;
  readonly upstream: ResolveUpstream;
}

/** The deployments that serve one model's name. */
export interface Group {
  readonly name: string;
  readonly deployments: readonly Deployment[];
  /** Those of all {@link deployments}, in the same order: what strategies see while nothing is left out. */
  readonly candidates: readonly Candidate[];
  /** Names of the groups to try when this one fails. */
  readonly fallbacks: readonly string[];
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
      timeouts: createTimeouts(config.timeoutMs),
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
    fallbacks: routing.fallbacks.filter(({ from }) => from === name).flatMap(({ to }) => to),
  });
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
    inputCostPerToken: config.inputCostPerToken,
    outputCostPerToken: config.outputCostPerToken,
  });
}
