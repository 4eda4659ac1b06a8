import type { PluginsConfig } from '../config/types.ts';
import type { Contributions } from '../contributions.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import { createNameTable } from '../registrar/name-table.ts';
import { createPluginRoutes } from '../registrar/plugin-routes.ts';
import { createRegistrar, type Registrar } from '../registrar/registrar.ts';

/**
 * Who owns which route and which name in one generation of plugins. The next generation has tables of its own, so that
 * a plugin's new version may claim what the version before it still serves.
 */
export class Claims {
  readonly #names = createNameTable();
  readonly #routes: ReturnType<typeof createPluginRoutes>;

  /** @param gatewayPaths Express patterns that the gateway serves itself */
  constructor(gatewayPaths: readonly string[]) {
    this.#routes = createPluginRoutes(gatewayPaths);
  }

  /** The facade for one startup; what it registers goes into `bag`. */
  registrar(
    record: PluginRecord,
    bag: Contributions,
    { allowedCapabilities }: Pick<PluginsConfig, 'allowedCapabilities'>,
  ): Registrar {
    return createRegistrar({
      plugin: record.name,
      declared: record.metadata?.capabilities ?? null,
      allowed: allowedCapabilities,
      bag,
      claimRoutes: (method, paths) => this.#routes.claim(record.name, method, paths),
      names: this.#names,
    });
  }

  /**
   * Claims what a bag has that was filled elsewhere.
   *
   * @throws RouteConflictError `route_conflict`; PluginLoadError `plugin_load`: a name is taken
   */
  claim({ name, bag }: Pick<PluginRecord, 'name' | 'bag'>): void {
    if (bag === null) return;
    for (const { method, path } of bag.routes) this.#routes.claim(name, method, [path]);
    for (const strategy of bag.strategies.keys()) this.#names.claim('routing strategy', strategy, name);
    for (const provider of bag.providers.keys()) this.#names.claim('provider', provider, name);
    if (bag.storageBackend !== null) this.#names.claim('storage backend', 'the gateway', name);
  }

  /** Gives back all that a plugin has claimed. */
  release(plugin: string): void {
    this.#routes.release(plugin);
    this.#names.release(plugin);
  }
}
