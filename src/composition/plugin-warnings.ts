import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { likely, settingPrefix } from '../config/env-name.ts';
import type { GatewayConfig, SettingsSources } from '../config/types.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';

const DEFAULT_DIR = 'plugins';

/** What the operator should know of the plugins that were found, but what stops none of them. One sentence each. */
export function pluginWarnings(registry: PluginRegistry, config: GatewayConfig): string[] {
  const { dirs, settings } = config.plugins;
  const names = registry.records.map(({ name }) => name);
  return [
    ...missingFolders(dirs, config.cwd),
    ...strayFileSettings(names, settings),
    ...strayVariables(names, settings),
  ];
}

/** The default folder may be missing: that is a gateway without plugins. */
function missingFolders(dirs: readonly string[], cwd: string): string[] {
  return dirs
    .filter((dir) => dir !== DEFAULT_DIR && !existsSync(resolve(cwd, dir)))
    .map((dir) => `LLMROUTER_PLUGINS_DIR: the folder "${dir}" does not exist`);
}

function strayFileSettings(names: readonly string[], { file }: SettingsSources): string[] {
  return [...file.keys()]
    .filter((name) => !names.includes(name))
    .map(
      (name) =>
        `the configuration file has settings for "${name}", and there is no such plugin${hint(name, names)}`,
    );
}

function strayVariables(names: readonly string[], { env }: SettingsSources): string[] {
  const prefixes = names.map(settingPrefix);
  return [...env.keys()]
    .filter((variable) => !prefixes.some((prefix) => variable.startsWith(prefix)))
    .map((variable) => `${variable} is a setting of no plugin that was found`);
}

function hint(name: string, names: readonly string[]): string {
  const meant = names.length === 0 ? undefined : likely(name, names);
  return meant === undefined ? '' : `; is "${meant}" meant?`;
}
