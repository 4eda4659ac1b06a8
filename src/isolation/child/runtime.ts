import { Contributions } from '../../contributions.ts';
import { loadPlugin } from '../../discovery/load.ts';
import { resolveInCopies } from '../../discovery/snapshot-resolution.ts';
import { toError } from '../../errors.ts';
import type { PluginApp } from '../../plugin-api/app.ts';
import type { Plugin } from '../../plugin-api/plugin.ts';
import { createNameTable } from '../../registrar/name-table.ts';
import { createRegistrar } from '../../registrar/registrar.ts';
import { createRouteTable } from '../../registrar/route-table.ts';
import type { Channel } from '../channel/channel.ts';
import { packError } from '../channel/errors.ts';
import { fromRich, toRich } from '../channel/rich.ts';
import type { ServedCall } from '../channel/serving.ts';
import type { Description, LoadOrder, LoadReport, OptionalMethod, StartOrder } from '../protocol.ts';
import { type ChildContext, createChildContext } from './context.ts';
import { ContributionServer } from './contribution-server.ts';

const OPTIONAL_METHODS: readonly OptionalMethod[] = ['healthCheck', 'exportState', 'importState'];

/** A plugin in its own process: imports it, starts it, and passes the gateway's calls on to what it has registered. */
export class PluginRuntime {
  readonly #channel: Channel;
  #plugin: Plugin | null = null;
  #started: {
    readonly app: PluginApp;
    readonly context: ChildContext;
    readonly server: ContributionServer;
  } | null = null;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  serve(method: string, params: unknown, call: ServedCall): unknown {
    switch (method) {
      case 'ping':
        return null;
      case 'load':
        return this.#load(params as LoadOrder);
      case 'startup':
        return this.#startup(params as StartOrder);
      case 'shutdown':
        return this.#shutdown();
      case 'health':
        return this.#plugin?.healthCheck?.();
      case 'exportState':
        return this.#exportState();
      case 'importState':
        return this.#plugin?.importState?.(fromRich(params));
      default:
        if (this.#started === null) throw new Error('the plugin has not been started');
        return this.#started.server.serve(method, params, call);
    }
  }

  hear(notice: string): void {
    if (notice === 'stop') this.#started?.context.abort.abort();
  }

  /** What nothing caught: the gateway counts it against the plugin. */
  reportLate(error: unknown): void {
    this.#channel.notify('late', packError(error));
  }

  async #load({ candidate, copied }: LoadOrder): Promise<LoadReport> {
    if (copied !== null) resolveInCopies([copied]);
    const { plugin, metadata } = await loadPlugin(candidate);
    this.#plugin = plugin;
    return { metadata, has: OPTIONAL_METHODS.filter((method) => plugin[method] !== undefined) };
  }

  async #startup(order: StartOrder): Promise<Description> {
    const plugin = this.#plugin;
    if (plugin === null) throw new Error('the plugin has not been imported');
    const context = createChildContext(this.#channel, order);
    const bag = new Contributions();
    const routes = createRouteTable();
    const registrar = createRegistrar({
      plugin: order.name,
      declared: order.declared,
      allowed: order.allowed,
      bag,
      // Its own conflicts are found here; those with others when the gateway registers the same in its own tables.
      claimRoutes: (method, path) => {
        const kind = method === 'mount' ? 'mount' : 'route';
        routes.claim({ method: method === 'mount' ? 'all' : method, path, owner: order.name, kind });
      },
      names: createNameTable(),
    });
    try {
      await plugin.startup(registrar.app, context.plugin);
    } catch (error) {
      context.abort.abort();
      throw error;
    } finally {
      registrar.close();
    }
    const server = new ContributionServer(this.#channel, bag, order.failClosed, {
      onSkipped: (error) => this.#reportFailure(error),
      warn: (message) => context.plugin.logger.warn(message),
    });
    this.#started = { app: registrar.app, context, server };
    return server.description;
  }

  async #exportState(): Promise<unknown> {
    // As in the gateway's own process: what cannot be copied is refused, and nothing is left out in silence.
    return toRich(structuredClone(await this.#plugin?.exportState?.()));
  }

  async #shutdown(): Promise<void> {
    const started = this.#started;
    if (started === null) return;
    await this.#plugin?.shutdown?.(started.app, started.context.plugin);
  }

  /** A failure that a request goes on without: there is no result that could tell of it. */
  #reportFailure(error: unknown): void {
    this.#channel.notify('failed', packError(toError(error)));
  }
}
