import { GatewayError, toError } from '../errors.ts';
import type { Pipeline } from '../pipeline/types.ts';
import { RequestScope } from '../request-scope.ts';
import { MCP_PATH } from '../wire/dialect.ts';
import { sendError, toClientError } from '../wire/error-response.ts';
import type { GatewayRequest } from '../wire/message.ts';
import { Timeline } from '../wire/timeline.ts';
import { type AdminTable, createAdminTable } from './admin.ts';
import { type AdminGuard, createAdminGuard, isAdminPath, notFound } from './admin-key.ts';
import { runHandler } from './app.ts';
import { authenticate, isPreflight } from './authentication.ts';
import { limitChunkedBody } from './body-limit.ts';
import { admitRequest, checkAnnouncedLength, pathOf } from './guards.ts';
import type { ServedResponse } from './messages.ts';
import { createOwnPaths, type OwnPath } from './own-paths.ts';
import type { RequestIds } from './request-id.ts';
import type { HttpServerDeps } from './types.ts';

/**
 * The way of every request, in order:
 *
 * 1. an id, and the guards against requests that can be read in two ways
 * 2. the gateway's own paths: one table look-up, no plugin is asked
 * 3. `/admin`: the key, and then the admin API, which has to work whatever the plugins do
 * 4. the auth phase, if there is one; paths of plugins below `/admin` have had their key instead
 * 5. middleware of plugins, if there is any; it may change the path
 * 6. the data plane: one table look-up
 * 7. `/mcp`: the tools of plugins
 * 8. routes of plugins, if there are any; else 404
 */
export class Dispatcher {
  readonly #deps: HttpServerDeps;
  readonly #isDraining: () => boolean;
  readonly #ownPaths: ReadonlyMap<string, OwnPath>;
  readonly #checkAdminKey: AdminGuard;
  readonly #adminApi: AdminTable;
  readonly #ids: RequestIds;

  constructor(deps: HttpServerDeps, ids: RequestIds, isDraining: () => boolean) {
    this.#deps = deps;
    this.#ids = ids;
    this.#isDraining = isDraining;
    this.#ownPaths = createOwnPaths(deps, isDraining);
    this.#checkAdminKey = createAdminGuard(deps.adminKey);
    this.#adminApi = createAdminTable(deps.plugins);
  }

  /**
   * For the server's `request` event. Never throws, and nothing of it rejects: nobody would hear it. Steps that have
   * nothing to wait for are not awaited: each await of the common request costs as much as its body's grammar.
   */
  dispatch(req: GatewayRequest, res: ServedResponse): void {
    req.receivedAt = performance.now();
    req.id = this.#ids.of(req.headers['x-request-id']);
    try {
      this.#serve(req, res)?.catch((thrown: unknown) => this.#fail(req, res, thrown));
    } catch (thrown) {
      this.#fail(req, res, thrown);
    }
  }

  #serve(req: GatewayRequest, res: ServedResponse): Promise<void> | void {
    const { bodyLimit } = this.#deps.server;
    const path = this.#admit(req, res);
    checkAnnouncedLength(req, bodyLimit);
    const own = this.#ownPaths.get(path) ?? this.#findAdmin(req, path);
    if (own !== null) {
      res.surface = own.surface;
      return own.handler(req, res);
    }
    limitChunkedBody(req, res, bodyLimit);
    if (this.#isDraining()) throw draining();
    const pipeline = this.#deps.pipeline();
    if (pipeline === null) return this.#afterStart(req, res, path);
    return this.#throughPipeline(pipeline, req, res, path);
  }

  /** What follows a request that can be read in two ways may be a part of it: the connection ends with its answer. */
  #admit(req: GatewayRequest, res: ServedResponse): string {
    try {
      return admitRequest(req, this.#deps.server.host);
    } catch (error) {
      res.setHeader('connection', 'close');
      throw error;
    }
  }

  /** Without its plugins the gateway would have no authentication either: early requests wait for them. */
  async #afterStart(req: GatewayRequest, res: ServedResponse, path: string): Promise<void> {
    await this.#deps.started;
    const pipeline = this.#deps.pipeline();
    if (pipeline === null || this.#isDraining()) throw draining();
    await this.#throughPipeline(pipeline, req, res, path);
  }

  #findAdmin(req: GatewayRequest, path: string): OwnPath | null {
    if (!isAdminPath(path)) return null;
    this.#checkAdminKey(req);
    const handler = this.#adminApi(path);
    return handler === null ? null : { surface: 'admin', handler };
  }

  /** `pipeline` is the one that a request runs through from beginning to end, whatever is swapped meanwhile. */
  #throughPipeline(
    pipeline: Pipeline,
    req: GatewayRequest,
    res: ServedResponse,
    path: string,
  ): Promise<void> {
    if (this.#deps.debug || pipeline.export !== null) this.#openTimeline(req);
    req.requestScope = new RequestScope(req.id, req.timeline);
    const isOpen = pipeline.auth === null && pipeline.middleware === null && !isAdminPath(path);
    return isOpen ? this.#answer(pipeline, req, res, path) : this.#throughPhases(pipeline, req, res, path);
  }

  /** What plugins take of a request is told to exporters; where all its time goes, in debug mode. */
  #openTimeline(req: GatewayRequest): void {
    req.timeline = new Timeline(req.receivedAt, this.#deps.debug);
    req.timeline.mark('guard');
  }

  /** Authentication and middleware, in front of what answers. */
  #throughPhases(pipeline: Pipeline, req: GatewayRequest, res: ServedResponse, path: string): Promise<void> {
    // A preflight has no credentials: only middleware may answer it without, so it is authenticated after that.
    const checked = isPreflight(req) ? undefined : this.#checkAccess(pipeline, req, path);
    return checked instanceof Promise
      ? checked.then(() => this.#throughMiddleware(pipeline, req, res, path))
      : this.#throughMiddleware(pipeline, req, res, path);
  }

  #throughMiddleware(
    pipeline: Pipeline,
    req: GatewayRequest,
    res: ServedResponse,
    path: string,
  ): Promise<void> {
    req.timeline?.mark('auth');
    const { middleware } = pipeline;
    const isConcerned = middleware?.concerns(req.url ?? '/') === true;
    if (!isConcerned && !isPreflight(req)) return this.#answer(pipeline, req, res, path);
    return this.#runMiddleware(isConcerned ? middleware : null, pipeline, req, res, path);
  }

  async #runMiddleware(
    middleware: Pipeline['middleware'],
    pipeline: Pipeline,
    req: GatewayRequest,
    res: ServedResponse,
    arrivalPath: string,
  ): Promise<void> {
    // Asked before it runs: what has been authenticated is not taken for a preflight afterwards, and the reverse.
    const isEarly = isPreflight(req);
    if (middleware !== null) {
      req.isShared = true;
      await runHandler(middleware.handle, req, res);
    }
    req.timeline?.mark('middleware');
    if (res.writableEnded) return;
    const path = pathOf(req.url ?? '/');
    if (isEarly || (path !== arrivalPath && isAdminPath(path) !== isAdminPath(arrivalPath))) {
      await this.#checkAccess(pipeline, req, path);
    }
    await this.#answer(pipeline, req, res, path);
  }

  #checkAccess(pipeline: Pipeline, req: GatewayRequest, path: string): Promise<void> | void {
    if (isAdminPath(path)) return this.#checkAdminKey(req);
    if (pipeline.auth !== null) return authenticate(pipeline.auth, req);
  }

  #answer(pipeline: Pipeline, req: GatewayRequest, res: ServedResponse, path: string): Promise<void> {
    const handler = this.#deps.dataPlane.find(req.method ?? '', path);
    res.surface = handler === null ? 'routes' : 'data_plane';
    if (handler !== null) return handler(req, res, pipeline);
    if (path !== MCP_PATH) return this.#answerByRoute(pipeline, req, res);
    res.surface = 'mcp';
    return this.#deps.mcp.handle(req, res, pipeline);
  }

  async #answerByRoute(pipeline: Pipeline, req: GatewayRequest, res: ServedResponse): Promise<void> {
    if (pipeline.routes !== null) await runHandler(pipeline.routes, req, res);
    if (!res.writableEnded) throw notFound(req);
  }

  #fail(req: GatewayRequest, res: ServedResponse, thrown: unknown): void {
    const { log, debug } = this.#deps;
    const error = toClientError(thrown);
    if (error.code === 'internal_error' && !req.socket.destroyed) {
      log.error('request failed', { requestId: req.id, ...describe(error.cause, debug) });
    }
    try {
      sendError(res, error);
    } catch {
      // A plugin has patched the response so that it throws: the client gets no answer rather than a wrong one.
      res.destroy();
    }
  }
}

function draining(): GatewayError {
  return new GatewayError('gateway_draining', 'The gateway is stopping: try again');
}

function describe(cause: unknown, debug: boolean): { cause: string; stack?: string | undefined } {
  const { message, stack } = toError(cause);
  return debug ? { cause: message, stack } : { cause: message };
}
