import { PluginLoadError } from '../errors.ts';
import type { Plugin } from '../plugin-api/plugin.ts';

/** What a module offers as a plugin: the class or the object, and the name that it is exported under. */
export interface PluginExport {
  readonly name: string;
  readonly value: PluginClass | Plugin;
}

/** A class whose objects are plugins. */
export type PluginClass = new () => Plugin;

type Exports = ReadonlyMap<string, unknown>;

/**
 * Chooses the plugin among a module's exports: the named one; else `default`; else the only one that is a plugin.
 *
 * @param namespace - what `import()` resolved to
 * @throws PluginLoadError `plugin_load`: there is none, or there are several
 */
export function choosePluginExport(
  namespace: unknown,
  exportName: string | null,
  specifier: string,
): PluginExport {
  const exports = readExports(namespace);
  if (exportName !== null) return namedExport(exports, exportName, specifier);
  const found = defaultExport(exports) ?? onlyPlugin(exports, specifier);
  if (found !== null) return found;
  throw new PluginLoadError(`Plugin "${specifier}" exports no plugin (seen: ${list(exports)})`, {
    hint: 'Export a class with startup(), an object with startup(), or definePlugin({ ... }), best as default.',
  });
}

/** True for a class (or constructor function), which has to be constructed to get the plugin. */
export function isConstructor(value: unknown): value is PluginClass {
  return typeof value === 'function' && typeof value.prototype === 'object' && value.prototype !== null;
}

/**
 * All exports by name. Node shows CommonJS as the default export and only some of its properties as names of their own,
 * and compilers put a `default` of their own into it: those are exports too.
 */
function readExports(namespace: unknown): Exports {
  const own = properties(namespace);
  const commonJs = own.has('module.exports')
    ? properties(own.get('module.exports'))
    : new Map<string, unknown>();
  own.delete('module.exports');
  const unwrapped = commonJs.get('default') ?? own.get('default');
  const merged = new Map([...commonJs, ...own]);
  merged.delete('__esModule');
  if (unwrapped !== undefined) merged.set('default', unwrapped);
  return merged;
}

function properties(value: unknown): Map<string, unknown> {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isObject ? new Map(Object.entries(value)) : new Map();
}

function namedExport(exports: Exports, name: string, specifier: string): PluginExport {
  const value = exports.get(name);
  if (isPlugin(value) || isConstructor(value)) return { name, value };
  const seen = exports.has(name) ? 'it is no class and has no startup()' : `seen: ${list(exports)}`;
  throw new PluginLoadError(`Plugin "${specifier}" has no plugin as its export "${name}" (${seen})`);
}

function defaultExport(exports: Exports): PluginExport | null {
  const value = exports.get('default');
  return isPlugin(value) || isClass(value) ? { name: 'default', value } : null;
}

function onlyPlugin(exports: Exports, specifier: string): PluginExport | null {
  const plugins = distinct(exports, isPlugin);
  // A class may get its startup() in the constructor only; among several classes nobody could tell which.
  const found = plugins.length > 0 ? plugins : distinct(exports, isClass);
  if (found.length < 2) return found[0] ?? null;
  const names = found.map(({ name }) => name);
  throw new PluginLoadError(`Plugin "${specifier}" exports several plugins: ${names.join(', ')}`, {
    hint: `Name one of them: ${specifier}#${names[0]}`,
  });
}

function distinct(
  exports: Exports,
  accepts: (value: unknown) => value is PluginExport['value'],
): PluginExport[] {
  const seen = new Set<unknown>();
  const found: PluginExport[] = [];
  for (const [name, value] of exports) {
    if (seen.has(value) || !accepts(value)) continue;
    seen.add(value);
    found.push({ name, value });
  }
  return found;
}

/** True for an object with `startup`, and for a class whose objects have it. */
function isPlugin(value: unknown): value is PluginExport['value'] {
  if (isConstructor(value)) return typeof value.prototype.startup === 'function';
  return (
    typeof value === 'object' && value !== null && 'startup' in value && typeof value.startup === 'function'
  );
}

function isClass(value: unknown): value is PluginClass {
  return isConstructor(value) && /^class\b/.test(Function.prototype.toString.call(value));
}

function list(exports: Exports): string {
  return [...exports.keys()].join(', ') || 'nothing';
}
