import type { RouteContribution } from '../contributions.ts';
import { createRouteTable, GATEWAY_OWNER } from './route-table.ts';

/** Who owns which path. */
export interface PluginRoutes {
  /** @throws RouteConflictError `route_conflict`, naming both owners */
  claim(plugin: string, route: Pick<RouteContribution, 'method' | 'path'>): void;
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
  const outside = createRouteTable();
  const admin = createRouteTable();
  for (const path of gatewayPaths)
    outside.claim({ method: 'all', path, owner: GATEWAY_OWNER, kind: 'route' });
  outside.claim({ method: 'all', path: '/admin', owner: GATEWAY_OWNER, kind: 'mount' });
  admin.claim({ method: 'all', path: '/admin/plugins', owner: GATEWAY_OWNER, kind: 'mount' });
  return {
    claim(plugin, route) {
      const table = isOwnAdminPath(plugin, route) ? admin : outside;
      const kind = route.method === 'mount' ? 'mount' : 'route';
      const method = route.method === 'mount' ? 'all' : route.method;
      table.claim({ method, path: route.path, owner: plugin, kind });
    },
    release(plugin) {
      outside.release(plugin);
      admin.release(plugin);
    },
  };
}

/** The prefix has to stand there literally: a parameter in its place could reach another plugin's paths. */
function isOwnAdminPath(
  plugin: string,
  { method, path }: Pick<RouteContribution, 'method' | 'path'>,
): boolean {
  const own = `/admin/${plugin.toLowerCase()}`;
  const lower = path.toLowerCase();
  return lower.startsWith(`${own}/`) || (method === 'mount' && lower === own);
}
