import type { Containment } from '../containment/containment.ts';
import type { Owner } from '../containment/owner.ts';

/**
 * Aborts a plugin's `context.signal`. Listeners are the plugin's code: what they throw is blamed on it.
 *
 * The reason has a stack trace, and V8 keeps the objects of all callers until somebody reads it. A plugin's modules
 * stay in memory, and with them the signal that they have kept: so it is read here, else a whole generation of plugins
 * would stay with each.
 */
export function endSignal(
  containment: Containment,
  owner: Owner,
  phase: 'startup' | 'shutdown',
  abort: AbortController,
): void {
  containment.runAs({ owner, phase, request: null }, () => abort.abort());
  const reason: unknown = abort.signal.reason;
  if (reason instanceof Error) String(reason.stack);
}
