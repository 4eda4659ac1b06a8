import { type CallSite, type Containment, ignoreResult } from '../containment/containment.ts';
import { isGatewayError } from '../errors.ts';
import type { Candidate, RouteResult, RoutingStrategy } from '../plugin-api/routing.ts';
import type { RequestScope } from '../request-scope.ts';
import { enter, invoke, type Member } from './member.ts';
import type { StrategyPhase } from './types.ts';

/**
 * Routing strategies by name. One that fails or is quarantined answers `null`, and the default decides. One that says
 * that all limits are reached is passed on.
 */
export function compileStrategies(
  containment: Containment,
  members: readonly Member[],
): ReadonlyMap<string, StrategyPhase> {
  const phases = new Map<string, StrategyPhase>();
  for (const member of members) {
    for (const [name, strategy] of member.bag?.strategies ?? []) {
      phases.set(name, toPhase(containment, member, name, strategy));
    }
  }
  return phases;
}

function toPhase(
  containment: Containment,
  member: Member,
  name: string,
  strategy: RoutingStrategy,
): StrategyPhase {
  const what = `routing strategy "${name}"`;
  const site = <T>(check: CallSite<T>['check']): CallSite<T> => ({
    owner: member.owner,
    phase: 'strategy',
    what,
    check,
  });
  return {
    select(request, candidates, load, scope) {
      const check = (value: unknown): Candidate => checkCandidate(candidates, value);
      try {
        const selected = enter(containment, member.gate, { ...site(check), about: request }, scope, () =>
          strategy.select(request, candidates, load),
        );
        return selected instanceof Promise ? selected.catch(nullUnlessRefused) : selected;
      } catch (thrown) {
        return nullUnlessRefused(thrown);
      }
    },
    observe:
      strategy.observe === undefined ? null : observer(containment, member, site(ignoreResult), strategy),
  };
}

/**
 * The one thing that a strategy may say to the client. Any other error leaves the choice to the default, whatever its
 * status: what a strategy has asked of some service is no answer to this request.
 */
function nullUnlessRefused(thrown: unknown): null {
  if (isGatewayError(thrown) && thrown.code === 'rate_limit_exceeded') throw thrown;
  return null;
}

function observer(
  containment: Containment,
  member: Member,
  site: CallSite<void>,
  strategy: RoutingStrategy,
): (result: RouteResult, scope: RequestScope | null) => void {
  return (result, scope) => {
    invoke(containment, member.gate, site, scope, () => strategy.observe?.(result)).catch(() => undefined);
  };
}

/**
 * What a strategy has chosen. Matched by id, so that a copy of a candidate (from another process, say) counts as well.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkCandidate(candidates: readonly Candidate[], value: unknown): Candidate {
  const id = typeof value === 'object' && value !== null ? (value as { id?: unknown }).id : value;
  const found = candidates.find((candidate) => candidate.id === id);
  if (found !== undefined) return found;
  const expected = candidates.map((candidate) => candidate.id).join(', ');
  throw new Error(
    `saw ${typeof id === 'string' ? JSON.stringify(id) : typeof value}, expected one of ${expected}`,
  );
}
