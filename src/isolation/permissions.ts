import { relative } from 'node:path';
import type { Granted } from '../config/types.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { PluginSecurityError } from '../errors.ts';

const NOTHING: Granted = { net: false, read: [], write: [] };
const WHATEVER = '*';

/**
 * What a plugin in a process of its own may have: what its manifest asks for, as far as the operator grants it.
 *
 * @param granted - `LLMROUTER_PLUGINS_PERMISSIONS` for this plugin
 * @throws PluginSecurityError `plugin_security`: it asks for what the operator does not grant
 */
export function grantPermissions(
  { specifier, manifest }: PluginCandidate,
  granted: Granted = NOTHING,
): Granted {
  if (manifest === null) return NOTHING;
  const { name } = manifest.metadata;
  const { net, fs } = manifest.permissions;
  const refused = [
    ...(net.length > 0 && !granted.net
      ? [{ what: `the network (${net.join(', ')})`, entry: `${name}:net` }]
      : []),
    ...ungranted(fs.read, granted.read, `${name}:read`),
    ...ungranted(fs.write, granted.write, `${name}:write`),
  ];
  if (refused.length > 0) {
    const asked = refused.map(({ what }) => what).join(', ');
    const message = `Plugin "${specifier}" asks for ${asked}; LLMROUTER_PLUGINS_PERMISSIONS does not grant it`;
    const entries = refused.map(({ entry }) => entry).join(',');
    throw new PluginSecurityError('plugin_security', message, {
      plugin: name,
      hint: `If it may, add ${entries} to LLMROUTER_PLUGINS_PERMISSIONS.`,
    });
  }
  return {
    net: net.length > 0,
    read: asFarAsGranted(fs.read, granted.read),
    write: asFarAsGranted(fs.write, granted.write),
  };
}

function ungranted(
  asked: readonly string[],
  granted: readonly string[],
  entry: string,
): { readonly what: string; readonly entry: string }[] {
  return asked
    .filter((path) => path !== WHATEVER && !granted.some((folder) => isInside(folder, path)))
    .map((path) => ({ what: path, entry: `${entry}=${path}` }));
}

function asFarAsGranted(asked: readonly string[], granted: readonly string[]): readonly string[] {
  return asked.includes(WHATEVER) ? granted : asked;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || (!way.startsWith('..') && !way.startsWith('/'));
}
