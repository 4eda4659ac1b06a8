import type { PluginManifest } from '../discovery/types.ts';

/**
 * Why a plugin stays inactive: the variables of its manifest's `activation.env` that are not set.
 *
 * @param environment - names of the variables that are set and not blank
 * @returns one sentence, or `null` when nothing is missing
 */
export function checkActivation(
  manifest: PluginManifest | null,
  environment: ReadonlySet<string>,
): string | null {
  const missing = manifest?.activation.env.filter((name) => !environment.has(name)) ?? [];
  return missing.length === 0
    ? null
    : `Inactive until ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} set`;
}
