import { closest, distance } from 'fastest-levenshtein';

const SETTING = /^LLMROUTER_PLUGIN_.+?__.+$/s;

/**
 * A plugin's or setting's name as it stands in a variable's name: upper case, a camelCase border and every other
 * character become `_`.
 *
 * @example
 * ```ts
 * toEnvName('auth-api-keys'); // AUTH_API_KEYS
 * toEnvName('keysFile'); // KEYS_FILE
 * ```
 */
export function toEnvName(name: string): string {
  return name
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .replace(/[^A-Za-z\d]/g, '_')
    .toUpperCase();
}

/** What the variables of a plugin's settings begin with, `LLMROUTER_PLUGIN_<NAME>__`. */
export function settingPrefix(plugin: string): string {
  return `LLMROUTER_PLUGIN_${toEnvName(plugin)}__`;
}

/** The key of a setting that only its variable names: `KEYS_FILE` becomes `keysFile`. */
export function toSettingKey(envName: string): string {
  return envName.toLowerCase().replace(/(?<=[^_])_+([a-z\d])/g, (_match, next: string) => next.toUpperCase());
}

/** True for `LLMROUTER_PLUGIN_<NAME>__<KEY>`. */
export function isSettingVariable(variable: string): boolean {
  return SETTING.test(variable);
}

/** The known name that is most like `name`; `known` may not be empty. */
export function nearest(name: string, known: readonly string[]): string {
  return closest(name, known);
}

/** Like {@link nearest}, but `undefined` when a slip of the keyboard does not explain the difference. */
export function likely(name: string, known: readonly string[]): string | undefined {
  const candidate = nearest(name, known);
  return distance(name, candidate) <= Math.min(2, name.length / 3) ? candidate : undefined;
}
