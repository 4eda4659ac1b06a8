import { type Containment, ignoreResult } from '../containment/containment.ts';
import { Contributions } from '../contributions.ts';
import { GatewayError, isGatewayError, PluginDependencyError, toError } from '../errors.ts';
import type { PluginApp } from '../plugin-api/app.ts';
import type { PluginContext } from '../plugin-api/context.ts';
import type { Plugin } from '../plugin-api/plugin.ts';
import { type StepTimer, UNTIMED } from '../telemetry/boot-timer.ts';
import { PluginAbortError } from './abort.ts';
import { endSignal } from './end-signal.ts';
import { startupOutcome } from './failure-mode.ts';
import type { PluginReason, PluginRecord } from './record.ts';
import type { PluginRegistry } from './registry.ts';

/** A plugin's registrar, and the switch that closes it. */
export interface OpenRegistrar {
  readonly app: PluginApp;
  close(): void;
}

/** What starting a plugin takes; made by the composition root. */
export interface StarterOptions {
  readonly registry: PluginRegistry;
  readonly containment: Containment;
  readonly startupTimeoutMs: number;
  readonly createRegistrar: (record: PluginRecord, bag: Contributions) => OpenRegistrar;
  /** @throws ConfigError `config_invalid` for settings that do not fit their schema */
  readonly createContext: (record: PluginRecord, signal: AbortSignal) => PluginContext;
  /** Gives back the routes and names that a failed startup had claimed. */
  readonly release: (plugin: string) => void;
  /** Aborted when the gateway is stopped: no further plugin is started, a startup under way is given up. */
  readonly stopping: AbortSignal;
  /** Times each startup. Default: nobody does. */
  readonly timer?: StepTimer;
}

/** Starts plugins one after the other. */
export class Starter {
  readonly #options: StarterOptions;

  constructor(options: StarterOptions) {
    this.#options = options;
  }

  /**
   * Starts all loaded plugins in load order, until the gateway is stopped. One that fails leaves nothing behind.
   *
   * @throws PluginAbortError when a plugin with failure mode `abort` fails or is blocked; those that had started are
   * left to the caller to stop
   */
  async startAll(): Promise<void> {
    const { registry, stopping, timer = UNTIMED } = this.#options;
    for (const record of registry.inOrder()) {
      if (stopping.aborted) return;
      if (record.state !== 'loaded') continue;
      const missing = this.#missingDependency(record);
      if (missing !== null) this.#block(record, missing);
      else await timer.step(record.name, () => this.#startOrFail(record));
    }
  }

  /**
   * Starts one plugin.
   *
   * @throws what startup threw, or `plugin_timeout`; nothing of the plugin remains then. PluginDependencyError
   * `plugin_dependency` when one that it depends on has not started.
   */
  async start(record: PluginRecord): Promise<void> {
    const { registry } = this.#options;
    const missing = this.#missingDependency(record);
    if (missing !== null) throw this.#dependencyError(record, missing);
    const started = performance.now();
    await this.#startup(record);
    record.startupMs = Math.round((performance.now() - started) * 100) / 100;
    record.quarantine = null;
    registry.transition(record, 'start', null);
  }

  /** Applies a plugin's failure mode to a failure before it has started. */
  failStartup(record: PluginRecord, error: unknown): void {
    const { registry } = this.#options;
    const reason = toReason(error);
    const outcome = startupOutcome(record.failureMode);
    if (outcome === 'quarantine') {
      record.quarantine = { since: Date.now(), until: null, cause: reason.message };
      registry.transition(record, 'quarantine', reason);
      return;
    }
    registry.transition(record, 'fail', reason);
    if (outcome === 'abort') throw new PluginAbortError(record.name, reason, error);
  }

  async #startOrFail(record: PluginRecord): Promise<void> {
    const { registry, stopping } = this.#options;
    try {
      await this.start(record);
    } catch (error) {
      // Its failure mode is for failures of its own.
      if (stopping.aborted) registry.transition(record, 'fail', toReason(error));
      else this.failStartup(record, error);
    }
  }

  async #startup(record: PluginRecord): Promise<void> {
    const { containment, createRegistrar, createContext, release, startupTimeoutMs, stopping } =
      this.#options;
    const plugin = requirePlugin(record);
    const abort = new AbortController();
    const context = createContext(record, abort.signal);
    const bag = new Contributions();
    const registrar = createRegistrar(record, bag);
    const { owner } = record;
    const site = {
      owner,
      phase: 'startup' as const,
      what: 'startup()',
      check: ignoreResult,
      timeoutMs: startupTimeoutMs,
    };
    try {
      const call = containment.call(site, null, () => plugin.startup(registrar.app, context));
      await unlessStopped(stopping, record.name, call);
    } catch (error) {
      endSignal(containment, owner, 'startup', abort);
      release(record.name);
      throw error;
    } finally {
      registrar.close();
    }
    record.bag = bag;
    record.running = { plugin, app: registrar.app, context, abort };
  }

  #missingDependency(record: PluginRecord): string | null {
    const { registry } = this.#options;
    for (const { name, optional } of record.metadata?.dependsOn ?? []) {
      if (!optional && registry.get(name)?.state !== 'started') return name;
    }
    return null;
  }

  #dependencyError(record: PluginRecord, dependency: string): PluginDependencyError {
    const state = this.#options.registry.get(dependency)?.state ?? 'absent';
    const message = `Its dependency "${dependency}" is ${state}, expected started; mend "${dependency}" first, or make the dependency optional`;
    return new PluginDependencyError(message, [record.name, dependency], { plugin: record.name });
  }

  /** A dependency that exists but did not start. See docs/plugins.md, "Order". */
  #block(record: PluginRecord, dependency: string): void {
    const { registry } = this.#options;
    const reason = toReason(this.#dependencyError(record, dependency));
    registry.transition(record, 'block', reason);
    const outcome = startupOutcome(record.failureMode);
    if (outcome === 'abort') throw new PluginAbortError(record.name, reason);
    if (outcome !== 'quarantine') return;
    record.quarantine = { since: Date.now(), until: null, cause: reason.message };
    registry.transition(record, 'quarantine', reason);
  }
}

/** A failure as the admin API shows it: the plugin's own words where the gateway's only say that it failed. */
export function toReason(error: unknown): PluginReason {
  if (!isGatewayError(error)) return { code: 'plugin_error', message: toError(error).message };
  const { code, message, hint, cause } = error;
  const detail = code === 'plugin_error' && cause !== undefined ? toError(cause) : null;
  if (detail !== null && isGatewayError(detail)) return toReason(detail);
  const told = detail === null ? message : `${message}: ${detail.message}`;
  return { code, message: hint === undefined ? told : `${told}. ${hint}` };
}

/** Waits for a startup until the gateway is stopped: one that hangs must not hold up the shutdown. */
async function unlessStopped(stopping: AbortSignal, plugin: string, call: Promise<void>): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const giveUp = (): void => {
    const message = `Plugin "${plugin}": the gateway was stopped before startup() had returned`;
    reject(new GatewayError('gateway_draining', message, { plugin }));
  };
  stopping.addEventListener('abort', giveUp, { once: true });
  try {
    await Promise.race([call, stopped]);
  } finally {
    stopping.removeEventListener('abort', giveUp);
  }
}

function requirePlugin(record: PluginRecord): Plugin {
  if (record.plugin !== null) return record.plugin;
  throw new GatewayError('internal_error', `Plugin "${record.name}" has not been loaded`, {
    plugin: record.name,
  });
}
