import type { RequestHandler } from 'express';
import type { AuthProvider } from './plugin-api/auth.ts';
import type { Evaluator } from './plugin-api/evaluator.ts';
import type { Exporter } from './plugin-api/exporter.ts';
import type { LlmHooks } from './plugin-api/llm.ts';
import type { Provider } from './plugin-api/provider.ts';
import type { RoutingStrategy } from './plugin-api/routing.ts';
import type { StorageBackend } from './plugin-api/storage.ts';
import type { ToolRuntime } from './plugin-api/tools.ts';

/** The methods of the registrar that register a route. */
export const ROUTE_METHODS = ['get', 'post', 'put', 'patch', 'delete', 'options', 'head', 'all'] as const;

export type RouteMethodName = (typeof ROUTE_METHODS)[number];

export interface RouteContribution {
  /** `mount`: everything below the path. */
  readonly method: RouteMethodName | 'mount';
  readonly path: string;
  readonly handlers: readonly RequestHandler[];
}

export interface MiddlewareContribution {
  /** `null`: every request. */
  readonly path: string | readonly string[] | null;
  readonly handler: RequestHandler;
}

/**
 * One plugin's own bag: everything that it has registered, as it came. Nothing here takes effect by itself; the
 * pipeline is compiled from the bags of the plugins that started.
 */
export class Contributions {
  readonly routes: RouteContribution[] = [];
  readonly middleware: MiddlewareContribution[] = [];
  readonly hooks: LlmHooks[] = [];
  readonly strategies: Map<string, RoutingStrategy> = new Map();
  readonly toolRuntimes: ToolRuntime[] = [];
  readonly evaluators: Evaluator[] = [];
  readonly exporters: Exporter[] = [];
  readonly authProviders: AuthProvider[] = [];
  readonly providers: Map<string, Provider> = new Map();
  storageBackend: StorageBackend | null = null;
}

/** What a bag holds, for people: `GET /admin/plugins`. */
export interface ContributionSummary {
  /** For example `GET /x`; `* /x/*` for a mounted router. */
  readonly routes: readonly string[];
  readonly middleware: number;
  readonly hooks: number;
  readonly strategies: readonly string[];
  readonly toolRuntimes: number;
  readonly evaluators: readonly string[];
  readonly exporters: readonly string[];
  readonly authProviders: readonly string[];
  readonly providers: readonly string[];
  readonly storageBackend: boolean;
}

/** Describes a bag; `null` (a plugin that never started) describes an empty one. */
export function summarize(bag: Contributions | null): ContributionSummary {
  const contributions = bag ?? new Contributions();
  return {
    routes: contributions.routes.map(routeLabel),
    middleware: contributions.middleware.length,
    hooks: contributions.hooks.length,
    strategies: [...contributions.strategies.keys()],
    toolRuntimes: contributions.toolRuntimes.length,
    evaluators: contributions.evaluators.map(({ name }) => name),
    exporters: contributions.exporters.map(({ name }) => name),
    authProviders: contributions.authProviders.map(({ name }) => name),
    providers: [...contributions.providers.keys()],
    storageBackend: contributions.storageBackend !== null,
  };
}

/** A route as messages and the admin API show it. */
export function routeLabel({ method, path }: Pick<RouteContribution, 'method' | 'path'>): string {
  if (method === 'mount') return `* ${path.replace(/\/$/, '')}/*`;
  return `${method === 'all' ? '*' : method.toUpperCase()} ${path}`;
}
