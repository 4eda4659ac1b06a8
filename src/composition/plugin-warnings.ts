import { likely, settingPrefix } from '../config/env-name.ts';
import type { SettingsSources } from '../config/types.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';

/** What the operator should know of the plugins that were found, but what stops none of them. One sentence each. */
export function pluginWarnings(registry: PluginRegistry, settings: SettingsSources): string[] {
  const names = registry.records.map(({ name }) => name);
  return [
    ...missingIsolation(registry),
    ...strayFileSettings(names, settings),
    ...strayVariables(names, settings),
  ];
}

function missingIsolation(registry: PluginRegistry): string[] {
  return registry
    .inOrder()
    .filter(({ metadata }) => metadata?.isolation === 'process')
    .map(
      ({ name }) =>
        `plugin "${name}" asks for isolation "process", which this version does not have: it runs inline`,
    );
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
