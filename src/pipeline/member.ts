import type { CallSite, Containment } from '../containment/containment.ts';
import { isAnswer } from '../containment/containment.ts';
import type { Owner } from '../containment/owner.ts';
import type { TrialGate } from '../containment/trial-gate.ts';
import type { Contributions } from '../contributions.ts';
import { GatewayError } from '../errors.ts';
import type { RequestScope } from '../request-scope.ts';

/** One plugin as the pipeline is compiled from it. */
export interface Member {
  readonly name: string;
  readonly owner: Owner;
  /** `null`: the plugin has registered nothing, or its startup failed. */
  readonly bag: Contributions | null;
  /** `null`: the plugin is started, nothing stands between it and a call. */
  readonly gate: TrialGate | null;
  /** What must stay shut while the plugin takes no part, although it has no bag that tells. */
  readonly guards: Guards;
  readonly failClosed: boolean;
  readonly failOpen: boolean;
}

/** Contributions known from the metadata of a plugin that did not start. */
export interface Guards {
  readonly auth: boolean;
  readonly storage: boolean;
  /** Metadata `failClosed: true`: middleware, hooks or evaluators that must not be skipped. */
  readonly requests: boolean;
}

/** The plugin is quarantined and its trial is not due. */
export class QuarantinedError extends GatewayError {
  readonly retryAfterSeconds: number;

  constructor(plugin: string, retryAfterSeconds: number) {
    super('plugin_quarantined', `Plugin "${plugin}" is quarantined`, { plugin });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The error of a call that is not made because the plugin is quarantined; counts it. */
export function skipCall(
  { owner, phase }: Pick<CallSite<unknown>, 'owner' | 'phase'>,
  gate: TrialGate,
): QuarantinedError {
  owner.counters(phase).skipped++;
  return new QuarantinedError(owner.name, gate.retryAfterSeconds());
}

/**
 * {@link invoke} for the way of every request: without a promise when the plugin is started and answers at once. Throws
 * then where `invoke` would reject.
 */
export function enter<T>(
  containment: Containment,
  gate: TrialGate | null,
  site: CallSite<T>,
  request: RequestScope | null,
  fn: () => unknown,
): T | Promise<T> {
  return gate === null ? containment.enter(site, request, fn) : invoke(containment, gate, site, request, fn);
}

/**
 * Calls into a member: straight when it is started, as the trial when it is quarantined and one is due.
 *
 * @throws QuarantinedError `plugin_quarantined`; and as {@link Containment.call}
 */
export async function invoke<T>(
  containment: Containment,
  gate: TrialGate | null,
  site: CallSite<T>,
  request: RequestScope | null,
  fn: () => unknown,
): Promise<T> {
  if (gate === null) return containment.call(site, request, fn);
  if (!gate.begin()) throw skipCall(site, gate);
  let succeeded: boolean | null = null;
  try {
    const value = await containment.call(site, request, fn);
    succeeded = true;
    return value;
  } catch (thrown) {
    succeeded = isAnswer(thrown);
    throw thrown;
  } finally {
    gate.end(succeeded);
  }
}
