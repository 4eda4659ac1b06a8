import type { PluginApp } from './app.ts';
import type { PluginContext } from './context.ts';
import type { PluginMetadata } from './metadata.ts';

type MaybePromise<T> = T | Promise<T>;

/** A plugin's own word on its health, shown by `GET /readyz`. */
export interface HealthReport {
  readonly status: 'ok' | 'degraded' | 'unhealthy';
  readonly message?: string;
}

/**
 * What the gateway asks of a plugin: an object (or a class without constructor arguments) with `startup`.
 *
 * @example
 * ```ts
 * import type { Plugin } from 'routeiq-gateway/plugin';
 *
 * let timer: NodeJS.Timeout;
 * const plugin: Plugin = {
 *   metadata: { name: 'heartbeat', version: '1.0.0', capabilities: [] },
 *   startup(_app, { logger }) { timer = setInterval(() => logger.info('alive'), 60_000); },
 *   shutdown() { clearInterval(timer); },
 *   healthCheck: () => ({ status: 'ok' }),
 * };
 * export default plugin;
 * ```
 */
export interface Plugin {
  /** Left out: a legacy plugin, named after its class. Source: the plugin document, "Backwards Compatibility". */
  readonly metadata?: PluginMetadata;
  /**
   * Registers contributions on `app` and opens resources. Nothing registered takes effect before it has returned;
   * if it throws or outlasts `LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS`, nothing of it remains.
   */
  startup(app: PluginApp, context: PluginContext): MaybePromise<void>;
  /** Closes resources. Called in the reverse order of startup, only if `startup` had succeeded. */
  shutdown?(app: PluginApp, context: PluginContext): MaybePromise<void>;
  /** Called for `GET /readyz`, with a deadline; and after the startup of a reload, which fails when it says `unhealthy`. */
  healthCheck?(): MaybePromise<HealthReport>;
  /**
   * Called at a reload, while this instance still serves: what the next version is to know. Anything that can be
   * cloned (`structuredClone`); JSON where the plugin runs in a process of its own.
   */
  exportState?(): MaybePromise<unknown>;
  /**
   * Called at a reload, after `startup` and before this instance serves, with what the version before it has exported.
   * That may be another version's idea of it: check it. If it throws, the reload fails.
   */
  importState?(state: unknown): MaybePromise<void>;
}

/**
 * Base class for plugins. Extending it is optional: it gives types and empty defaults, nothing else.
 *
 * @example
 * ```ts
 * import { GatewayPlugin, type PluginApp, type PluginMetadata } from 'routeiq-gateway/plugin';
 *
 * export default class Hello extends GatewayPlugin {
 *   override metadata: PluginMetadata = { name: 'hello', version: '1.0.0', capabilities: ['ROUTES'] };
 *
 *   override startup(app: PluginApp): void {
 *     app.get('/hello', (_req, res) => { res.json({ message: 'Hello!' }); });
 *   }
 * }
 * ```
 */
export abstract class GatewayPlugin implements Plugin {
  declare readonly metadata?: PluginMetadata;
  abstract startup(app: PluginApp, context: PluginContext): MaybePromise<void>;
  shutdown(_app: PluginApp, _context: PluginContext): MaybePromise<void> {}
}

/**
 * A plugin as an object literal, typed. Returns its argument.
 *
 * @example
 * ```ts
 * import { definePlugin } from 'routeiq-gateway/plugin';
 *
 * export default definePlugin({
 *   metadata: { name: 'hello', capabilities: ['ROUTES'] },
 *   startup(app) { app.get('/hello', (_req, res) => { res.send('hi'); }); },
 * });
 * ```
 */
export function definePlugin<T extends Plugin>(plugin: T): T {
  return plugin;
}
