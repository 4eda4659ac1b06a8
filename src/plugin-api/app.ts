import type { RequestHandler, Router } from 'express';
import type { ParamsDictionary, RouteParameters } from 'express-serve-static-core';
import type { AuthProvider } from './auth.ts';
import type { Evaluator } from './evaluator.ts';
import type { Exporter } from './exporter.ts';
import type { LlmHooks } from './llm.ts';
import type { Provider } from './provider.ts';
import type { RoutingStrategy } from './routing.ts';
import type { StorageBackend } from './storage.ts';
import type { ToolRuntime } from './tools.ts';

/** An Express 5 path: a string with `:parameters`, `*wildcards` and `{optional}` parts, or several of them. */
export type RoutePath = string | readonly string[];

/** Registers handlers for one HTTP method. Needs the capability `ROUTES`. */
export type RouteMethod = <Path extends RoutePath>(
  path: Path,
  ...handlers: RequestHandler<Path extends string ? RouteParameters<Path> : ParamsDictionary>[]
) => PluginApp;

/**
 * The registrar that `startup` gets. Every call checks the plugin's capabilities before it has any effect, and returns
 * the registrar, so that calls can be chained as on an Express application.
 *
 * @throws CapabilityError `capability_not_declared` (the metadata does not name it), `capability_not_allowed`
 * (`LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES` does not)
 * @throws RouteConflictError `route_conflict`, when the path belongs to the gateway or to another plugin
 * @throws PluginLoadError `plugin_load`, for arguments of the wrong shape and for calls after `startup`
 *
 * @example
 * ```ts
 * app
 *   .get('/users/:id', (req, res) => { res.json({ id: req.params.id }); })
 *   .use('/users', (req, _res, next) => { context.logger.info('users', { method: req.method }); next(); });
 * ```
 */
export interface PluginApp {
  readonly get: RouteMethod;
  readonly post: RouteMethod;
  readonly put: RouteMethod;
  readonly patch: RouteMethod;
  readonly delete: RouteMethod;
  readonly options: RouteMethod;
  readonly head: RouteMethod;
  readonly all: RouteMethod;
  /** Everything below `path`, given to an Express router (or application). Needs `ROUTES`. */
  mount(path: string, router: Router | RequestHandler): PluginApp;
  /**
   * Express middleware in front of routes and the data plane. Needs `MIDDLEWARE`. Error handlers (four parameters)
   * are refused: the gateway answers errors itself. Inside a router given to `mount` they work as ever.
   */
  use(...handlers: RequestHandler[]): PluginApp;
  use(path: RoutePath, ...handlers: RequestHandler[]): PluginApp;
  /** Hooks around every LLM call. Needs `MIDDLEWARE`. */
  llm(hooks: LlmHooks): PluginApp;
  /** Needs `ROUTING_STRATEGY`. */
  routingStrategy(name: string, strategy: RoutingStrategy): PluginApp;
  /** Needs `TOOL_RUNTIME`. */
  toolRuntime(runtime: ToolRuntime): PluginApp;
  /** Needs `EVALUATOR`. */
  evaluator(evaluator: Evaluator): PluginApp;
  /** Needs `OBSERVABILITY_EXPORTER`. */
  exporter(exporter: Exporter): PluginApp;
  /** Needs `AUTH_PROVIDER`. From then on nobody gets in without an identity. */
  authProvider(provider: AuthProvider): PluginApp;
  /** Needs `STORAGE_BACKEND`. At most one in the gateway. */
  storageBackend(backend: StorageBackend): PluginApp;
  /** Needs `PROVIDER`. */
  provider(name: string, provider: Provider): PluginApp;
}
