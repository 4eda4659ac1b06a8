import type { FailureMode } from '../plugin-api/failure-mode.ts';

/** A plugin's own mode wins over the global one, `continue` too. */
export function effectiveFailureMode(own: FailureMode | null, global: FailureMode): FailureMode {
  return own ?? global;
}

/** What a plugin's failure before or during startup leads to. */
export type StartupOutcome = 'fail' | 'quarantine' | 'abort';

/** What a tripped breaker leads to. */
export type TripOutcome = 'cool-down' | 'quarantine' | 'abort';

/** Source: the plugin document, "Failure Modes"; docs/plugins.md, "When a plugin fails". */
export function startupOutcome(mode: FailureMode): StartupOutcome {
  if (mode === 'abort') return 'abort';
  return mode === 'quarantine' ? 'quarantine' : 'fail';
}

/** Source: docs/plugins.md, "When a plugin fails". */
export function tripOutcome(mode: FailureMode): TripOutcome {
  if (mode === 'abort') return 'abort';
  return mode === 'quarantine' ? 'quarantine' : 'cool-down';
}
