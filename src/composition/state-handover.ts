import { type Containment, ignoreResult } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import type { PluginRecord } from '../lifecycle/record.ts';

/**
 * Hands what the running version of a plugin knows to the next one, if both have the methods for it. The copy is the
 * next one's own: the two share no object.
 *
 * @throws GatewayError `plugin_error`, `plugin_timeout`
 */
export async function handOver(
  containment: Containment,
  from: PluginRecord,
  to: PluginRecord,
): Promise<void> {
  const [before, next] = [from.running?.plugin, to.running?.plugin];
  if (before?.exportState === undefined || next?.importState === undefined) return;
  const exporting = { owner: from.owner, phase: 'startup' as const, what: 'exportState()', check: cloned };
  const state = await containment.call(exporting, null, () => before.exportState?.());
  const importing = {
    owner: to.owner,
    phase: 'startup' as const,
    what: 'importState()',
    check: ignoreResult,
  };
  await containment.call(importing, null, () => next.importState?.(state));
}

function cloned(state: unknown): unknown {
  try {
    return structuredClone(state);
  } catch (cause) {
    throw new GatewayError('plugin_error', 'exportState() gave what structuredClone cannot copy', { cause });
  }
}
