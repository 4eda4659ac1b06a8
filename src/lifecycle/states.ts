/** A plugin's state. See docs/plugins.md, "Lifecycle". */
export type PluginState =
  | 'discovered'
  | 'inactive'
  | 'rejected'
  | 'loaded'
  | 'blocked'
  | 'failed'
  | 'started'
  | 'quarantined'
  | 'stopped';

/** What may happen to a plugin. */
export type PluginEvent =
  | 'deactivate'
  | 'reject'
  | 'load'
  | 'block'
  | 'fail'
  | 'start'
  | 'quarantine'
  | 'stop';

/** All states, in the order of a plugin's life. */
export const PLUGIN_STATES: readonly PluginState[] = [
  'discovered',
  'inactive',
  'rejected',
  'loaded',
  'blocked',
  'failed',
  'started',
  'quarantined',
  'stopped',
];

/** All events. */
export const PLUGIN_EVENTS: readonly PluginEvent[] = [
  'deactivate',
  'reject',
  'load',
  'block',
  'fail',
  'start',
  'quarantine',
  'stop',
];

type Transitions = Readonly<Partial<Record<PluginEvent, PluginState>>>;

const ENDED: Transitions = {};

/**
 * The one table of transitions. `quarantine` out of `discovered`, `loaded` and `blocked` is failure mode `quarantine`
 * at startup; `quarantine` out of itself is a cool-down that an operator makes permanent, or that doubles.
 */
const TRANSITIONS: Readonly<Record<PluginState, Transitions>> = {
  discovered: {
    deactivate: 'inactive',
    reject: 'rejected',
    load: 'loaded',
    fail: 'failed',
    quarantine: 'quarantined',
  },
  loaded: {
    deactivate: 'inactive',
    reject: 'rejected',
    block: 'blocked',
    fail: 'failed',
    start: 'started',
    quarantine: 'quarantined',
  },
  blocked: { quarantine: 'quarantined' },
  started: { quarantine: 'quarantined', stop: 'stopped' },
  quarantined: { quarantine: 'quarantined', start: 'started', stop: 'stopped' },
  inactive: ENDED,
  rejected: ENDED,
  failed: ENDED,
  stopped: ENDED,
};

/** The state that `event` leads to, or `null` when it may not happen in `state`. Nothing else decides transitions. */
export function nextState(state: PluginState, event: PluginEvent): PluginState | null {
  return TRANSITIONS[state][event] ?? null;
}
