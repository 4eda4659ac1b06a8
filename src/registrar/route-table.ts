import { RouteConflictError } from '../errors.ts';
import type { RoutePath } from '../plugin-api/app.ts';
import { findOverlap, type PathPattern, type PatternKind, parsePattern } from './path-pattern.ts';

/** The owner of the gateway's own paths. No plugin can have this name: it has blanks. */
export const GATEWAY_OWNER = 'the gateway';

/** A path, or several, that somebody wants to answer. */
export interface RouteClaim {
  /** An HTTP method in any case, or `all`. A mount has all. */
  readonly method: string;
  readonly path: RoutePath;
  /** A plugin's name, or {@link GATEWAY_OWNER}. */
  readonly owner: string;
  readonly kind: PatternKind;
  /** True for what others may claim inside of this claim all the same. */
  readonly opensTo?: (claim: {
    readonly owner: string;
    readonly path: string;
    readonly kind: PatternKind;
  }) => boolean;
}

/** Who answers which path. */
export interface RouteTable {
  /**
   * Takes all paths of the claim, or none.
   *
   * @throws RouteConflictError `route_conflict`: another owner has a path that can match the same request
   * @throws PluginLoadError `plugin_load`: a path that Express does not understand
   */
  claim(claim: RouteClaim): void;
  /** Drops all that an owner has claimed, when its startup has failed. */
  release(owner: string): void;
}

interface OwnedPattern {
  readonly method: string;
  readonly pattern: PathPattern;
  readonly owner: string;
  readonly opensTo: RouteClaim['opensTo'];
}

/**
 * An empty route table. Two owners may not have paths that one request could match: parameters and wildcards are
 * considered, letter case and trailing slashes are not, as in Express. One owner may overlap itself.
 *
 * @example
 * ```ts
 * const routes = createRouteTable();
 * routes.claim({ method: 'get', path: '/x/:id', owner: 'a', kind: 'route' });
 * routes.claim({ method: 'get', path: '/x/new', owner: 'b', kind: 'route' }); // RouteConflictError
 * ```
 */
export function createRouteTable(): RouteTable {
  let owned: readonly OwnedPattern[] = [];
  return {
    claim(claim) {
      const wanted = toOwnedPatterns(claim);
      for (const mine of wanted) for (const theirs of owned) refuseConflict(mine, theirs);
      owned = [...owned, ...wanted];
    },
    release(owner) {
      owned = owned.filter((entry) => entry.owner !== owner);
    },
  };
}

function toOwnedPatterns(claim: RouteClaim): OwnedPattern[] {
  const paths: readonly string[] = typeof claim.path === 'string' ? [claim.path] : [claim.path].flat();
  return paths.map((path) => ({
    method: claim.kind === 'mount' ? 'ALL' : claim.method.toUpperCase(),
    pattern: parsePattern(path, claim.kind),
    owner: claim.owner,
    opensTo: claim.opensTo,
  }));
}

function refuseConflict(mine: OwnedPattern, theirs: OwnedPattern): void {
  if (mine.owner === theirs.owner || !methodsMeet(mine.method, theirs.method)) return;
  const { path, kind } = mine.pattern;
  if (theirs.opensTo?.({ owner: mine.owner, path, kind })) return;
  const example = findOverlap(mine.pattern, theirs.pattern);
  if (example === null) return;
  throw new RouteConflictError(
    `${describe(mine)} cannot be registered: ${describe(theirs)} answers ${example || '/'} too`,
    { plugin: mine.owner, hint: 'Give one of them another path.' },
  );
}

/** A GET route answers HEAD requests too, in Express as in RFC 9110, section 9.3.2. */
function methodsMeet(a: string, b: string): boolean {
  if (a === b || a === 'ALL' || b === 'ALL') return true;
  return (a === 'HEAD' && b === 'GET') || (a === 'GET' && b === 'HEAD');
}

function describe({ method, pattern, owner }: OwnedPattern): string {
  const what = pattern.kind === 'mount' ? `the mount ${pattern.path}` : `${method} ${pattern.path}`;
  return `${what} of ${owner === GATEWAY_OWNER ? owner : `plugin "${owner}"`}`;
}
