import type { Logger } from 'winston';
import type { Containment } from '../../containment/containment.ts';
import type { Owner } from '../../containment/owner.ts';
import type { CopiedFrom } from '../../discovery/snapshot-resolution.ts';
import type { PluginCandidate } from '../../discovery/types.ts';
import { GatewayError, PluginLoadError, toError } from '../../errors.ts';
import type { PluginApp } from '../../plugin-api/app.ts';
import type { PluginCapability } from '../../plugin-api/capability.ts';
import type { PluginContext } from '../../plugin-api/context.ts';
import type { HealthReport, Plugin } from '../../plugin-api/plugin.ts';
import type { Channel } from '../channel/channel.ts';
import { parseError, unpackError } from '../channel/errors.ts';
import { RubbishError } from '../channel/frames.ts';
import { fromRich, toRich } from '../channel/rich.ts';
import type { ServedCall } from '../channel/serving.ts';
import type { Description, LoadOrder, LoadReport, OptionalMethod, StartOrder } from '../protocol.ts';
import { Backoff } from './backoff.ts';
import { parseDescription } from './description.ts';
import { PluginProcess, type ProcessLimits } from './plugin-process.ts';
import { registerProxies } from './proxies.ts';
import type { SandboxOptions, Walls } from './sandbox.ts';
import { Services } from './services.ts';
import { Successor } from './successor.ts';

/** What isolated plugins share. */
export interface IsolationParts {
  readonly log: Logger;
  /** Whether the log shows stacks and causes. */
  readonly debug: boolean;
  readonly containment: Containment;
  readonly walls: Walls;
  readonly limits: ProcessLimits;
  /** What the operator allows; `null`: everything. */
  readonly allowed: readonly PluginCapability[] | null;
}

/** What one plugin is isolated with. */
export interface IsolatedPluginOptions extends IsolationParts {
  readonly candidate: PluginCandidate;
  /** What its files are a copy of; `null`: of nothing. */
  readonly copied: CopiedFrom | null;
  readonly sandbox: SandboxOptions;
  readonly cwd: string;
}

/** What is known of the plugin once its metadata has been read and checked. */
export interface StartTerms {
  readonly name: string;
  readonly declared: readonly PluginCapability[] | null;
  readonly failClosed: boolean;
}

/** A process whose plugin is started. */
interface Live {
  readonly process: PluginProcess;
  readonly since: number;
}

/** What a start has come to. */
interface Started {
  readonly context: PluginContext;
  /** As JSON. */
  readonly description: string;
}

/** Imported, but not started: a plugin that policy refuses, or that is blocked, does not stay in memory. */
const IDLE_MS = 60_000;

/**
 * A plugin in a process of its own, as the lifecycle sees it: an ordinary plugin, whose `startup` registers
 * contributions that ask that process. A process that ends is replaced; the contributions stay.
 */
export class IsolatedPlugin {
  readonly #options: IsolatedPluginOptions;
  readonly #backoff = new Backoff();
  readonly #successor: Successor;
  /** Imported and waiting for its start. */
  #waiting: PluginProcess | null = null;
  #patience: NodeJS.Timeout | undefined;
  #live: Live | null = null;
  #revival: Promise<Channel> | null = null;
  #terms: StartTerms | null = null;
  #started: Started | null = null;
  #owner: Owner | null = null;
  #services: Services | null = null;

  constructor(options: IsolatedPluginOptions) {
    this.#options = options;
    this.#successor = new Successor({
      launch: () => this.#launch(),
      load: (process) => this.#import(process),
      keepMs: IDLE_MS,
    });
  }

  /**
   * Imports the plugin's code, in its process.
   *
   * @throws PluginLoadError `plugin_load`, as an import in the gateway's own process would
   */
  async load(): Promise<LoadReport> {
    const process = this.#launch();
    try {
      const report = await this.#import(process);
      this.#waiting = process;
      this.#patience = setTimeout(() => this.giveUp(), IDLE_MS).unref();
      return report;
    } catch (error) {
      process.kill(toError(error));
      throw error;
    }
  }

  /** It is not going to be started here. */
  giveUp(): void {
    clearTimeout(this.#patience);
    this.#waiting?.kill(new Error('it was not started'));
  }

  /** The plugin for the lifecycle. */
  toPlugin(terms: StartTerms, has: readonly OptionalMethod[]): Plugin {
    this.#terms = terms;
    return {
      startup: (app, context) => this.#startup(app, context),
      shutdown: () => this.#shutdown(),
      ...(has.includes('healthCheck') && { healthCheck: () => this.#health() }),
      ...(has.includes('exportState') && { exportState: () => this.#exportState() }),
      ...(has.includes('importState') && { importState: (state) => this.#importState(state) }),
    };
  }

  /** @throws Error when a report comes that cannot be one */
  async #import(process: PluginProcess): Promise<LoadReport> {
    const { candidate, copied } = this.#options;
    const order: LoadOrder = { candidate: { ...candidate, problem: null }, copied };
    const report = (await process.attend('load', order)) as LoadReport | null;
    if (typeof report?.metadata !== 'object' || report.metadata === null)
      throw new PluginLoadError(`Plugin "${candidate.specifier}": its process has told nothing of it`);
    return report;
  }

  async #startup(app: PluginApp, context: PluginContext): Promise<void> {
    this.#owner = this.#options.containment.current()?.owner ?? null;
    const process = await this.#imported();
    try {
      const description = await this.#start(process, context);
      this.#started = { context, description: JSON.stringify(description) };
      registerProxies(app, description, {
        connect: () => this.#connect(),
        closeBackend: async () => this.#live?.process.attend('storageCall', { method: 'close', args: [] }),
        onStorageClosed: () => this.#end('its storage backend was closed'),
      });
    } catch (error) {
      this.#started = null;
      process.kill(toError(error));
      throw error;
    }
    this.#live = { process, since: performance.now() };
    context.signal.addEventListener('abort', () => this.#live?.process.channel.notify('stop', null), {
      once: true,
    });
  }

  async #imported(): Promise<PluginProcess> {
    const waiting = this.#waiting;
    this.#waiting = null;
    clearTimeout(this.#patience);
    if (waiting !== null) return waiting;
    this.#end('it is started anew');
    const process = this.#launch();
    await this.#import(process);
    return process;
  }

  async #start(process: PluginProcess, context: PluginContext): Promise<Description> {
    this.#services = new Services(context, () => process.channel);
    const description = parseDescription(await process.attend('startup', this.#order(context)));
    process.settle();
    return description;
  }

  #order(context: PluginContext): StartOrder {
    const { allowed, candidate, log, debug } = this.#options;
    const terms = this.#terms ?? { name: candidate.specifier, declared: null, failClosed: false };
    return {
      ...terms,
      allowed,
      settings: { ...context.settings },
      models: context.models.list(),
      logLevel: log.level,
      debug,
    };
  }

  async #shutdown(): Promise<void> {
    const started = this.#started;
    this.#started = null;
    this.#successor.drop();
    const live = this.#live;
    if (live === null) return;
    const { storageBackend } = JSON.parse(started?.description ?? '{}') as Partial<Description>;
    try {
      await live.process.attend('shutdown', null);
    } finally {
      // A backend is closed after the shutdown of its plugin.
      if (storageBackend?.closes !== true) this.#end('it was shut down');
    }
  }

  async #health(): Promise<HealthReport> {
    return (await (await this.#connect()).call('health', null)) as HealthReport;
  }

  async #exportState(): Promise<unknown> {
    return fromRich(await (await this.#connect()).call('exportState', null));
  }

  async #importState(state: unknown): Promise<void> {
    await (await this.#connect()).call('importState', toRich(state));
  }

  /** The channel to the process that is there, or that is on its way. */
  #connect(): Channel | Promise<Channel> {
    if (this.#live !== null) return this.#live.process.channel;
    return this.#revive();
  }

  #revive(): Promise<Channel> {
    this.#revival ??= this.#restart().finally(() => {
      this.#revival = null;
    });
    return this.#revival;
  }

  async #restart(): Promise<Channel> {
    await this.#backoff.wait();
    const { context, description } = this.#requireStarted();
    const successor = await this.#successor.take();
    const process = successor ?? this.#launch();
    try {
      if (successor === null) await this.#import(process);
      const now = JSON.stringify(await this.#start(process, context));
      if (now !== description) throw new Error('it has registered something else than at its first start');
      this.#requireStarted();
    } catch (error) {
      process.kill(toError(error));
      throw this.#excused(error);
    }
    this.#live = { process, since: performance.now() };
    this.#options.log.info('plugin process replaced', {
      event: 'plugin_process_started',
      ...this.#identity(process),
    });
    return process.channel;
  }

  #launch(): PluginProcess {
    const { sandbox, cwd, walls, limits, log } = this.#options;
    const process: PluginProcess = new PluginProcess({
      sandbox,
      cwd,
      walls,
      limits,
      serve: (method, params, call) => this.#serve(method, params, call),
      hear: (notice, params) => this.#hear(notice, params),
      onStanding: () => {
        if (this.#started !== null && this.#live?.process === process) this.#successor.prepare();
      },
      onOutput: (text) => log.info(text, { event: 'plugin_output', ...this.#identity(null) }),
      onEnd: (reason) => this.#onEnd(process, reason),
    });
    return process;
  }

  /** The error that calls under way get. Counted once, however many there are: it is one failure. */
  #onEnd(process: PluginProcess, reason: Error): Error {
    const error = this.#excused(reason);
    if (this.#successor.forget(process)) return error;
    const { containment, log } = this.#options;
    if (this.#waiting === process) this.#waiting = null;
    if (this.#live?.process === process) {
      this.#backoff.died(performance.now() - this.#live.since);
      this.#live = null;
    } else this.#backoff.died(0);
    if (this.#started === null) return error;
    log.warn('plugin process ended', {
      event: 'plugin_process_ended',
      cause: reason.message,
      ...this.#identity(process),
    });
    if (this.#owner !== null) containment.fail(this.#owner, 'background', 'error', error, null);
    if (this.#backoff.isWorthTrying) setImmediate(() => this.#revive().catch(() => undefined));
    return error;
  }

  #serve(method: string, params: unknown, call: ServedCall): unknown {
    if (this.#services === null) throw new RubbishError('saw a call before startup()');
    return this.#services.serve(method, params, call);
  }

  #hear(notice: string, params: unknown): void {
    const owner = this.#owner;
    if (notice === 'late' || notice === 'failed') {
      const { containment } = this.#options;
      const context = containment.current();
      const kind = notice === 'late' ? 'late' : 'error';
      const error = unpackError(parseError(params));
      if (owner !== null)
        containment.fail(owner, context?.phase ?? 'background', kind, error, context?.request ?? null);
      return;
    }
    try {
      this.#services?.hear(notice, params);
    } catch (error) {
      if (error instanceof RubbishError || owner === null) throw error;
      this.#options.containment.fail(owner, 'background', 'error', toError(error), null);
    }
  }

  #requireStarted(): Started {
    if (this.#started !== null) return this.#started;
    throw this.#ended(new Error('it has been shut down'));
  }

  /** An error that is counted where the process ended, and nowhere else. */
  #excused(reason: unknown): Error {
    const { containment } = this.#options;
    if (containment.isExcused(reason)) return reason;
    const error = this.#ended(reason);
    containment.excuse(error);
    return error;
  }

  #ended(reason: unknown): GatewayError {
    const name = this.#terms?.name ?? this.#options.candidate.specifier;
    const { message } = toError(reason);
    return new GatewayError('plugin_error', `Plugin "${name}": its process is not there: ${message}`, {
      plugin: name,
      cause: reason,
    });
  }

  #end(why: string): void {
    const live = this.#live;
    this.#live = null;
    live?.process.kill(new Error(why));
  }

  #identity(process: PluginProcess | null): Record<string, unknown> {
    const plugin = this.#terms?.name ?? this.#options.candidate.specifier;
    return process === null ? { plugin } : { plugin, pid: process.pid };
  }
}
