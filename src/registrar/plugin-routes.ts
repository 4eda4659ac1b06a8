import type { RouteContribution } from '../contributions.ts';
import { createRouteTable, GATEWAY_OWNER, type RouteClaim } from './route-table.ts';

/** Who owns which path. */
export interface PluginRoutes {
  /**
   * Takes all paths, or none.
   *
   * @throws RouteConflictError `route_conflict`, naming both owners
   */
  claim(plugin: string, method: RouteContribution['method'], paths: readonly string[]): void;
  /** Gives back all routes of a plugin. */
  release(plugin: string): void;
}

/**
 * The routes of all plugins. Below `/admin/` a plugin may use `/admin/<its name>/` only; the gateway guards all of it
 * with the admin key.
 *
 * @param gatewayPaths Express patterns that the gateway serves itself, without those below `/admin/`
 */
export function createPluginRoutes(gatewayPaths: readonly string[]): PluginRoutes {
  const table = createRouteTable();
  const own = { method: 'all', owner: GATEWAY_OWNER };
  table.claim({ ...own, path: gatewayPaths, kind: 'route' });
  table.claim({ ...own, path: '/admin', kind: 'mount', opensTo: isOwnAdminPath });
  table.claim({ ...own, path: '/admin/plugins', kind: 'mount' });
  return {
    claim(plugin, method, paths) {
      const kind = method === 'mount' ? 'mount' : 'route';
      table.claim({ method: method === 'mount' ? 'all' : method, path: paths, owner: plugin, kind });
    },
    release: (plugin) => table.release(plugin),
  };
}

/** The prefix has to stand there literally: a parameter in its place could reach another plugin's paths. */
const isOwnAdminPath: NonNullable<RouteClaim['opensTo']> = ({ owner, path, kind }) => {
  const own = `/admin/${owner.toLowerCase()}`;
  const lower = path.toLowerCase();
  return lower.startsWith(`${own}/`) || (kind === 'mount' && lower === own);
};
