import type { Logger } from 'winston';
import type { DeploymentConfig, RoutingConfig } from '../config/types.ts';
import { EndOfTurn } from '../end-of-turn.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { ModelInfo } from '../plugin-api/models.ts';
import { CallStats } from '../telemetry/call-stats.ts';
import { createEchoProvider } from './echo.ts';
import { type DataPlaneHandler, getModel, listModels, MODEL_PREFIX, methodNotAllowed } from './handlers.ts';
import { LlmHandler } from './llm-handler.ts';
import { toModels } from './models.ts';
import { createGroups } from './routing/group.ts';
import { Router } from './routing/router.ts';
import type { Random } from './routing/simple-shuffle.ts';
import { SURFACES } from './surface/table.ts';
import type { ToolLoopLimits } from './tool-loop/tool-loop.ts';
import { Upstreams } from './upstream/upstreams.ts';

export type { DataPlaneHandler } from './handlers.ts';

export interface DataPlaneOptions {
  /** None: the built-in model `echo` is served. */
  readonly deployments: readonly DeploymentConfig[];
  readonly routing: RoutingConfig;
  /** Largest request body, in bytes. */
  readonly bodyLimit: number;
  readonly log: Logger;
  /** Counts every call. Default: nobody looks at them. */
  readonly stats?: CallStats;
  /** Milliseconds of a clock that never goes back, for cool-downs. Default: `performance.now`. */
  readonly clock?: () => number;
  /** Default: `Math.random`. */
  readonly random?: Random;
  /** How often a client hears of a stream whose first event is late. Default: 15 000. */
  readonly keepAliveMs?: number;
  /** How far the gateway goes in running tools for one request. Default: 8 rounds, 120 000 ms. */
  readonly toolLimits?: ToolLoopLimits;
}

const KEEP_ALIVE_MS = 15_000;
const TOOL_LIMITS: ToolLoopLimits = { maxRounds: 8, timeoutMs: 120_000 };

/** The LLM surfaces of the gateway: see README.md, "Paths". */
export interface DataPlane {
  /** Express-style patterns of the paths that belong to the data plane; no plugin may register them. */
  readonly paths: readonly string[];
  /**
   * The handler for a request, `null` when the path is none of the data plane's. One look-up in a table.
   *
   * @param path as the client sent it, without the query
   */
  find(method: string, path: string): DataPlaneHandler | null;
  /** The models that clients can ask for. */
  models(): readonly ModelInfo[];
  /** Warns when no plugin of the pipeline provides the strategy that the configuration names. */
  checkStrategy(pipeline: Pipeline): void;
  /** Closes the connections to upstreams. Calls that still run fail: drain the server first. */
  close(): Promise<void>;
}

/**
 * Builds the data plane from the configuration.
 *
 * @example
 * ```ts
 * const plane = createDataPlane({ deployments: config.deployments, routing: config.routing, bodyLimit, log });
 * const handler = plane.find('POST', '/v1/chat/completions');
 * await handler?.(req, res, pipeline);
 * ```
 */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { routing, bodyLimit, log, clock = () => performance.now(), random = Math.random } = options;
  const { keepAliveMs = KEEP_ALIVE_MS, toolLimits = TOOL_LIMITS, stats = new CallStats() } = options;
  const deployments = options.deployments.length === 0 ? [ECHO] : options.deployments;
  const endOfTurn = new EndOfTurn();
  const upstreams = new Upstreams(createEchoProvider(Date.now), endOfTurn);
  const groups = createGroups(deployments, routing, (config, candidate) =>
    upstreams.resolver(config, candidate),
  );
  const models = toModels(groups);
  const router = new Router({ groups, routing, random, now: clock, log });
  const llm = new LlmHandler({
    router,
    numRetries: routing.numRetries,
    keepAliveMs,
    bodyLimit,
    toolLimits,
    log,
    stats,
    endOfTurn,
  });
  const created = Math.floor(Date.now() / 1000);
  const table = new SurfaceTable(endOfTurn);
  table.add('/v1/models', 'GET', listModels(models, created, endOfTurn));
  table.add(MODEL_PREFIX, 'GET', getModel(models, created, endOfTurn));
  for (const surface of SURFACES) {
    table.add(surface.path, 'POST', (req, res, pipeline) => llm.handle(surface, req, res, pipeline));
  }

  return Object.freeze({
    paths: Object.freeze(['/v1/models', '/v1/models/*id', ...SURFACES.map(({ path }) => path)]),
    find: (method: string, path: string) => table.find(method, path),
    models: () => models,
    checkStrategy: (pipeline: Pipeline) => router.checkStrategy(pipeline),
    close: () => upstreams.close(),
  });
}

/** The handlers by path and method, made before the first request. */
class SurfaceTable {
  readonly #endOfTurn: EndOfTurn;
  readonly #byPath = new Map<string, ReadonlyMap<string, DataPlaneHandler>>();
  readonly #otherMethod = new Map<string, DataPlaneHandler>();

  constructor(endOfTurn: EndOfTurn) {
    this.#endOfTurn = endOfTurn;
  }

  add(path: string, method: 'GET' | 'POST', handler: DataPlaneHandler): void {
    const methods = method === 'GET' ? ['GET', 'HEAD'] : ['POST'];
    this.#byPath.set(path, new Map(methods.map((name) => [name, handler])));
    this.#otherMethod.set(path, methodNotAllowed(path, methods.join(', '), this.#endOfTurn));
  }

  find(method: string, path: string): DataPlaneHandler | null {
    const key = this.#byPath.has(path) ? path : prefixOf(path);
    // The prefix alone names no model.
    if (key === null || path === MODEL_PREFIX) return null;
    return this.#byPath.get(key)?.get(method) ?? this.#otherMethod.get(key) ?? null;
  }
}

function prefixOf(path: string): string | null {
  return path.startsWith(MODEL_PREFIX) ? MODEL_PREFIX : null;
}

/** Served when the configuration names no models, so that a first request needs no key. */
const ECHO: DeploymentConfig = Object.freeze({
  id: 'echo/0',
  group: 'echo',
  provider: 'echo',
  model: 'echo',
  apiBase: null,
  apiKey: null,
  apiVersion: null,
  headers: Object.freeze({}),
  weight: 1,
  rpm: null,
  tpm: null,
  order: null,
  timeoutMs: null,
  streamTimeoutMs: null,
  inputCostPerToken: 0,
  outputCostPerToken: 0,
  responsesOverChat: false,
});
