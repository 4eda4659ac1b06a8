import { basename, extname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isNativeError } from 'node:util/types';
import { PluginLoadError } from '../errors.ts';
import type { Plugin } from '../plugin-api/plugin.ts';
import { choosePluginExport, isConstructor, type PluginExport } from './exports.ts';
import { explainImport, reasonOf } from './import-failure.ts';
import { resolveMetadata } from './metadata.ts';
import { show } from './metadata-fields.ts';
import type { LoadedPlugin, PluginCandidate } from './types.ts';

/**
 * Imports a candidate's module, chooses its export, constructs it and reads its metadata. Runs the plugin's code: the
 * allowlist and the manifest's policy come before. It takes as long as the module does; a deadline is the caller's.
 *
 * @throws PluginLoadError `plugin_load`: whatever goes wrong, with the cause
 * @throws PluginSecurityError `plugin_security`: the code asks for more than the manifest says
 */
export async function loadPlugin(candidate: PluginCandidate): Promise<LoadedPlugin> {
  const { specifier, manifest } = candidate;
  const namespace = await importModule(candidate);
  const chosen = contain(specifier, 'its exports cannot be read', () =>
    choosePluginExport(namespace, candidate.exportName, specifier),
  );
  const plugin = contain(specifier, 'its constructor threw', () => instantiate(chosen));
  contain(specifier, 'it cannot be read', () => checkShape(plugin, chosen, specifier));
  const className = contain(specifier, 'it cannot be read', () => nameOf(plugin, chosen, specifier));
  return Object.freeze({ plugin, metadata: resolveMetadata(plugin, { specifier, className, manifest }) });
}

async function importModule(candidate: PluginCandidate): Promise<unknown> {
  const { specifier, entry, problem } = candidate;
  if (problem !== null || entry === null)
    throw problem ?? new PluginLoadError(`Plugin "${specifier}" has no entry`);
  try {
    return await import(pathToFileURL(entry).href);
  } catch (thrown) {
    const { reason, hint } = explainImport(thrown, candidate.root);
    throw new PluginLoadError(`Plugin "${specifier}" cannot be imported: ${reason}`, { hint, cause: thrown });
  }
}

/** Everything that touches a plugin's values may run its code: getters, proxies, constructors. */
function contain<T>(specifier: string, what: string, touch: () => T): T {
  try {
    return touch();
  } catch (thrown) {
    // `instanceof` alone would run a thrown proxy's traps.
    if (isNativeError(thrown) && thrown instanceof PluginLoadError) throw thrown;
    throw new PluginLoadError(`Plugin "${specifier}": ${what}: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function instantiate({ value }: PluginExport): Plugin {
  return isConstructor(value) ? new value() : value;
}

function checkShape(plugin: Plugin, { name, value }: PluginExport, specifier: string): void {
  const methods: Readonly<Record<string, unknown>> = { ...optionalMethods(plugin), startup: plugin.startup };
  for (const [method, seen] of Object.entries(methods)) {
    if (typeof seen === 'function') continue;
    throw new PluginLoadError(
      `Plugin "${specifier}": ${method} of its export "${name}" is ${show(seen)}, expected a function`,
    );
  }
  if (isConstructor(value) && 'metadata' in value && plugin.metadata === undefined) {
    throw new PluginLoadError(
      `Plugin "${specifier}": its metadata is static, expected a field of the object`,
      {
        hint: 'Remove the word "static" before metadata.',
      },
    );
  }
}

const OPTIONAL_METHODS = ['shutdown', 'healthCheck', 'exportState', 'importState'] as const;

function optionalMethods(plugin: Plugin): Record<string, unknown> {
  const methods = OPTIONAL_METHODS.map((name) => [name, plugin[name]] as const);
  return Object.fromEntries(methods.filter(([, method]) => method !== undefined));
}

/** A legacy plugin's name: its class, else its export, else its file. */
function nameOf(plugin: Plugin, { name, value }: PluginExport, specifier: string): string {
  const className = isConstructor(value) ? value.name : plugin.constructor?.name;
  const nameless = ['', 'default', 'Object'];
  const module = specifier.replace(/#.*$/, '');
  const known = [className, name].find((text) => typeof text === 'string' && !nameless.includes(text));
  return known ?? basename(module, extname(module));
}
