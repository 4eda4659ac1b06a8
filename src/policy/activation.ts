import type { PluginManifest } from '../discovery/types.ts';

/**
 * Why a plugin stays inactive: the variables of its manifest's `activation` that are not set.
 *
 * @param environment - names of the variables that are set and not blank
 * @returns one sentence, or `null` when nothing is missing
 */
export function checkActivation(
  manifest: PluginManifest | null,
  environment: ReadonlySet<string>,
): string | null {
  const { env = [], anyOf = [] } = manifest?.activation ?? {};
  const missing = env.filter((name) => !environment.has(name));
  const hasOne = anyOf.length === 0 || anyOf.some((name) => environment.has(name));
  if (missing.length === 0 && hasOne) return null;
  const wanted = [...missing, ...(hasOne ? [] : [anyOf.join(' or ')])];
  return `Inactive until ${wanted.join(' and ')} ${wanted.length === 1 ? 'is' : 'are'} set`;
}
