import { PluginLoadError } from '../errors.ts';

/** Kinds of contributions that exist once per name in the whole gateway. */
export type NamedKind = 'routing strategy' | 'provider' | 'storage backend';

/** Who owns which name, so that no plugin replaces what another has registered. */
export interface NameTable {
  /** @throws PluginLoadError `plugin_load`, naming both owners, when the name is taken */
  claim(kind: NamedKind, name: string, plugin: string): void;
  /** Gives back everything that `plugin` owns. */
  release(plugin: string): void;
}

/** An empty table. */
export function createNameTable(): NameTable {
  const owners = new Map<string, string>();
  return {
    claim(kind, name, plugin) {
      const key = `${kind}\0${name}`;
      const owner = owners.get(key);
      if (owner !== undefined) throw taken(kind, name, plugin, owner);
      owners.set(key, plugin);
    },
    release(plugin) {
      for (const [key, owner] of owners) if (owner === plugin) owners.delete(key);
    },
  };
}

function taken(kind: NamedKind, name: string, plugin: string, owner: string): PluginLoadError {
  const what = kind === 'storage backend' ? kind : `${kind} "${name}"`;
  const message = `Plugin "${plugin}": the ${what} belongs to the plugin "${owner}" already; expected none or another name`;
  return new PluginLoadError(message, { plugin });
}
