import { deepFreeze } from '../freeze.ts';
import type { PluginSettings } from '../plugin-api/context.ts';
import { toEnvName } from './env-name.ts';
import type { PlainRecord } from './plain.ts';

/**
 * Settings as a plugin gets them: frozen, with `get`. That stays the method, whatever settings are called: a setting of
 * that name is read with `get('get')`.
 */
export function toSettings(values: PlainRecord): PluginSettings {
  const byName = new Map(Object.entries(values));
  const spellings = new Map([...byName.keys()].map((key) => [toEnvName(key), key]));
  const get = <T>(key: string, fallback?: T): T => {
    const value = byName.get(byName.has(key) ? key : (spellings.get(toEnvName(key)) ?? key));
    return (value === undefined ? fallback : value) as T;
  };
  Object.defineProperty(values, 'get', { value: get, enumerable: false });
  return deepFreeze(values) as PluginSettings;
}
