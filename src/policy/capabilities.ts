import type { ResolvedMetadata } from '../discovery/types.ts';
import { PluginSecurityError } from '../errors.ts';
import type { PluginCapability } from '../plugin-api/capability.ts';

/**
 * Whether a plugin declares only what the operator allows. A legacy plugin (capabilities `null`) passes; what it
 * registers is checked at each call. Sources: the plugin document, headings "Capability Security Policy" and
 * "Backwards Compatibility".
 *
 * @param allowed - `null`: all capabilities; empty: none
 * @returns why not (`plugin_capability_denied`), or `null`
 */
export function checkCapabilities(
  metadata: Pick<ResolvedMetadata, 'name' | 'capabilities'>,
  allowed: readonly PluginCapability[] | null,
): PluginSecurityError | null {
  if (allowed === null || metadata.capabilities === null) return null;
  const denied = metadata.capabilities.filter((capability) => !allowed.includes(capability));
  if (denied.length === 0) return null;
  return new PluginSecurityError(
    'plugin_capability_denied',
    `Plugin "${metadata.name}" declares ${denied.join(', ')}, and LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES allows ${allowed.join(', ') || 'none'}`,
    {
      plugin: metadata.name,
      hint: `To let it load, add ${denied.join(',')} to LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES.`,
    },
  );
}
