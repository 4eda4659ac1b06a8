import { isIPv6 } from 'node:net';
import type { Logger } from 'winston';
import { applyOperatorAction, type OperatorAction } from './composition/operator-action.ts';
import { createParts, type GatewayParts, type GatewayStatus } from './composition/parts.ts';
import type { GatewayConfig } from './config/types.ts';
import { installHostModule } from './discovery/host-module.ts';
import { toError } from './errors.ts';
import type { PluginAbortError } from './lifecycle/abort.ts';
import { type StepTimer, UNTIMED } from './telemetry/boot-timer.ts';

/** A gateway that can be started once. */
export interface Gateway {
  /**
   * Listens, loads and starts the plugins.
   *
   * @throws ConfigError `config_invalid`, PluginDependencyError `plugin_dependency` (both: exit code 78);
   * PluginAbortError `plugin_error` (70). Everything that had been started is stopped again.
   */
  start(): Promise<{ readonly port: number }>;
  /** Drains, stops the plugins in reverse order, closes everything. Never rejects; further calls wait for the first. */
  stop(): Promise<void>;
  /**
   * Judges an error that nothing caught. True: it was blamed on a plugin and counted. False: it is the gateway's own,
   * and the process must not go on.
   */
  contain(thrown: unknown): boolean;
  /** Does what an operator did in another process on the same port. Never rejects. */
  follow(action: OperatorAction): Promise<void>;
}

export interface GatewayOptions {
  readonly log: Logger;
  /** A plugin with failure mode `abort` failed at run time: the caller stops the gateway and exits with 70. */
  readonly onAbort: (error: PluginAbortError) => void;
  /** An operator has released or quarantined a plugin here: other processes on the same port have to follow. */
  readonly onOperatorAction?: (action: OperatorAction) => void;
  /** Times the steps of the start. Default: nobody does. */
  readonly timer?: StepTimer;
}

/**
 * Makes a gateway out of a configuration. Nothing listens before `start`.
 *
 * @throws ConfigError `config_invalid` when the data folder is unusable
 *
 * @example
 * ```ts
 * const gateway = createGateway(config, { log, onAbort: () => gateway.stop() });
 * const { port } = await gateway.start();
 * ```
 */
export function createGateway(config: GatewayConfig, options: GatewayOptions): Gateway {
  return new ConfiguredGateway(config, options);
}

class ConfiguredGateway implements Gateway {
  readonly #config: GatewayConfig;
  readonly #log: Logger;
  readonly #timer: StepTimer;
  readonly #parts: GatewayParts;
  readonly #stopping = new AbortController();
  readonly #startOver = Promise.withResolvers<void>();
  #status: GatewayStatus = 'starting';
  #started: Promise<{ readonly port: number }> | null = null;
  #stopped: Promise<void> | null = null;

  constructor(config: GatewayConfig, options: GatewayOptions) {
    const { log, onAbort, onOperatorAction = () => undefined, timer = UNTIMED } = options;
    this.#config = config;
    this.#log = log;
    this.#timer = timer;
    const { signal: stopping } = this.#stopping;
    const { promise: started } = this.#startOver;
    this.#parts = createParts({
      config,
      log,
      onAbort,
      onOperatorAction,
      status: () => this.#status,
      started,
      stopping,
      timer,
    });
  }

  start(): Promise<{ readonly port: number }> {
    this.#started ??= this.#start();
    return this.#started;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  contain(thrown: unknown): boolean {
    if (this.#parts.containment.blame(thrown)) return true;
    this.#log.error('an error that no plugin can be blamed for', {
      event: 'uncaught',
      error: toError(thrown),
    });
    return false;
  }

  async follow(action: OperatorAction): Promise<void> {
    try {
      await applyOperatorAction(this.#parts.host, action);
    } catch (error) {
      this.#log.warn('an action of an operator could not be followed', {
        event: 'operator_action_not_followed',
        plugin: action.plugin,
        action: action.kind,
        error: toError(error),
      });
    }
  }

  /** Listens first: a port that is taken should not cost the plugins a start. */
  async #start(): Promise<{ readonly port: number }> {
    const { dataPlane, http, host, watchdog, watcher } = this.#parts;
    const uninstall = installHostModule();
    const where = { host: this.#config.server.host };
    try {
      const { port } = await this.#timer.step('listen', () => http.listen());
      this.#log.info(`listening on ${toUrl(where.host, port)}`, { event: 'listening', ...where, port });
      watchdog.start();
      await watcher?.prepare();
      await this.#timer.step('plugins', () =>
        watchdog.patiently(async () => {
          await host.load();
          await host.start();
        }),
      );
      if (this.#stopping.signal.aborted) return { port };
      dataPlane.checkStrategy(host.pipeline);
      watcher?.start();
      this.#enter('ready');
      this.#log.info('ready', { event: 'ready', ...where, port, plugins: host.list().order.length });
      return { port };
    } catch (error) {
      uninstall();
      this.#enter('draining');
      await http.drain(0);
      await this.#close();
      throw error;
    }
  }

  async #stop(): Promise<void> {
    const timeoutMs = this.#config.server.drainTimeoutMs;
    this.#stopping.abort();
    const isRunning = await this.#started?.then(
      () => true,
      () => false,
    );
    this.#enter('draining');
    if (isRunning === false) return;
    this.#log.info('draining', { event: 'draining', timeoutMs });
    // Streams of notifications have no end of their own.
    void this.#parts.mcp.close();
    const { cut } = await this.#parts.http.drain(timeoutMs);
    if (cut > 0) this.#log.warn('requests were cut at the end of the drain', { event: 'drain_cut', cut });
    await this.#close();
    this.#log.info('stopped', { event: 'stopped' });
  }

  #enter(status: GatewayStatus): void {
    this.#status = status;
    this.#startOver.resolve();
  }

  async #close(): Promise<void> {
    const { host, dataPlane, outbound, store, watchdog, watcher } = this.#parts;
    await watcher?.stop();
    await watchdog.patiently(() => host.stop());
    await watchdog.stop();
    await dataPlane.close();
    await outbound.close();
    store.close();
  }
}

function toUrl(host: string, port: number): string {
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
