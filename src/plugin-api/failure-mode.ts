/** What happens when a plugin fails. Source: the plugin document, heading "Failure Modes". */
export const FailureMode = {
  /** Log the error and go on with the other plugins (the default). */
  CONTINUE: 'continue',
  /** Stop the gateway, exit code 70. */
  ABORT: 'abort',
  /** Disable the plugin until an operator releases it, and go on with the others. */
  QUARANTINE: 'quarantine',
} as const;
Object.freeze(FailureMode);

export type FailureMode = (typeof FailureMode)[keyof typeof FailureMode];

/** All failure modes. */
export const FAILURE_MODES: readonly FailureMode[] = Object.freeze(Object.values(FailureMode));
