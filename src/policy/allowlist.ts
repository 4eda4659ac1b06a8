import type { PluginCandidate } from '../discovery/types.ts';
import { PluginSecurityError } from '../errors.ts';

/**
 * Whether a plugin may be loaded at all; asked before any of its code is read. A name counts as it is written, with
 * case. Source: the plugin document, heading "Plugin Allowlist".
 *
 * @param allowlist - `null`: all may load; empty: none may
 * @returns why not (`plugin_not_allowlisted`), or `null`
 */
export function checkAllowlist(
  candidate: Pick<PluginCandidate, 'specifier' | 'names'>,
  allowlist: readonly string[] | null,
): PluginSecurityError | null {
  if (allowlist === null || candidate.names.some((name) => allowlist.includes(name))) return null;
  const seen =
    allowlist.length === 0
      ? 'which is empty, so that no plugin may load'
      : `which has ${allowlist.join(', ')}`;
  return new PluginSecurityError(
    'plugin_not_allowlisted',
    `Plugin "${candidate.specifier}" is not in LLMROUTER_PLUGINS_ALLOWLIST, ${seen}`,
    {
      hint: `To let it load, add ${candidate.names.map((name) => `"${name}"`).join(' or ')} to LLMROUTER_PLUGINS_ALLOWLIST.`,
    },
  );
}
