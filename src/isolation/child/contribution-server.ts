import { type RequestHandler, Router } from 'express';
import type { Contributions, MiddlewareContribution, RouteContribution } from '../../contributions.ts';
import { clientErrorStatus } from '../../errors.ts';
import { deepFreeze } from '../../freeze.ts';
import { checkReservation } from '../../pipeline/accounts.ts';
import { checkIdentity } from '../../pipeline/auth.ts';
import { checkCandidate } from '../../pipeline/strategies.ts';
import { checkResult, checkTools } from '../../pipeline/tools.ts';
import type { AuthRequest, UsageEstimate, UsageOutcome } from '../../plugin-api/auth.ts';
import type { CallRecord } from '../../plugin-api/exporter.ts';
import type { LlmHooks, LlmResponse } from '../../plugin-api/llm.ts';
import type { Candidate, RouteLoad, RouteResult } from '../../plugin-api/routing.ts';
import type { StorageValue } from '../../plugin-api/storage.ts';
import type { ToolCall, ToolProgress } from '../../plugin-api/tools.ts';
import { toStorage } from '../../storage/backend-storage.ts';
import type { Channel } from '../channel/channel.ts';
import { type PackedError, unpackError } from '../channel/errors.ts';
import type { ServedCall } from '../channel/serving.ts';
import type { CrossingLlmRequest, CrossingRequest, Description, HookName } from '../protocol.ts';
import { checked } from './answers.ts';
import { judgeInTurn } from './evaluators.ts';
import { HookChain, type HookSubject } from './hooks.ts';
import { type HttpReports, runRemote } from './http-calls.ts';
import { KeptProperties } from './kept-properties.ts';
import { LlmRequests } from './llm-requests.ts';
import { ProviderServer } from './provider-server.ts';

const HOOKS = ['onRequest', 'onRoute', 'onChunk', 'onResponse', 'onError'] as const;

// biome-ignore lint/suspicious/noExplicitAny: parameters come from the gateway, which is believed; each method has its own
type Method = (params: any, call: ServedCall) => unknown;

/** A run of middleware on one path. */
interface MiddlewareRun {
  readonly path: MiddlewareContribution['path'];
  readonly handler: RequestHandler;
}

/** What is told of a plugin besides the results of its calls. */
export interface ServerReports {
  /** Told of a failure that a request goes on without. */
  readonly onSkipped: (error: unknown) => void;
  /** Writes to the plugin's log. */
  readonly warn: (message: string) => void;
}

/** Calls what a plugin has registered, in the plugin's own process. */
export class ContributionServer {
  readonly description: Description;
  readonly #methods: Readonly<Record<string, Method>>;

  constructor(channel: Channel, bag: Contributions, failClosed: boolean, { onSkipped, warn }: ServerReports) {
    const routes = bag.routes.map(composed);
    const middleware = middlewareRuns(bag.middleware, failClosed, onSkipped);
    const providers = new ProviderServer(channel, [...bag.providers.values()]);
    this.description = describe(bag, middleware);
    this.#methods = {
      ...httpMethods(channel, routes, middleware, { onLate: onSkipped, kept: new KeptProperties(warn) }),
      ...llmMethods(bag, failClosed, onSkipped),
      ...otherMethods(bag),
      ...providers.methods,
    };
  }

  serve(method: string, params: unknown, call: ServedCall): unknown {
    const run = this.#methods[method];
    if (run === undefined) throw new Error(`there is no ${method} to call`);
    return run(params, call);
  }
}

function httpMethods(
  channel: Channel,
  routes: readonly RequestHandler[],
  middleware: readonly MiddlewareRun[],
  reports: HttpReports,
): Record<string, Method> {
  const run = (handler: RequestHandler, request: CrossingRequest, call: ServedCall): unknown =>
    runRemote(channel, handler, request, call, reports);
  return {
    route: ({ index, request }, call) => run(at(routes, index), request, call),
    middleware: ({ index, request }, call) => run(at(middleware, index).handler, request, call),
  };
}

function llmMethods(
  bag: Contributions,
  failClosed: boolean,
  onSkipped: (error: unknown) => void,
): Record<string, Method> {
  const requests = new LlmRequests();
  const chain = new HookChain(bag.hooks, failClosed, onSkipped);
  const strategies = [...bag.strategies.values()];
  interface About {
    readonly about: CrossingLlmRequest;
  }
  return {
    hook: ({ about, name, subject }: About & { name: HookName; subject: HookSubject }, { signal }) =>
      chain.run(name, requests.take(about, signal), name === 'onError' ? asError(subject) : subject),
    evaluate: (
      { about, indexes, response }: About & { indexes: readonly number[]; response: LlmResponse | null },
      { signal, emit },
    ) => {
      const evaluators = indexes.map((index) => at(bag.evaluators, index));
      return judgeInTurn(evaluators, requests.take(about, signal), deepFreeze(response), emit);
    },
    select: async (
      { about, index, candidates, load }: About & { index: number; candidates: Candidate[]; load: RouteLoad },
      { signal },
    ) => {
      const request = requests.take(about, signal);
      const chosen = await at(strategies, index).select(request, deepFreeze(candidates), deepFreeze(load));
      return checked((value) => checkCandidate(candidates, value), chosen).id;
    },
    observe: ({ index, result }: { index: number; result: RouteResult }) =>
      nothing(at(strategies, index).observe?.(deepFreeze(result))),
  };
}

function otherMethods(bag: Contributions): Record<string, Method> {
  const backend = bag.storageBackend === null ? null : toStorage(bag.storageBackend);
  return {
    listTools: async ({ index }) => checked(checkTools, await at(bag.toolRuntimes, index).listTools()),
    callTool: async ({ index, name, args, call, wantsProgress }, { signal, emit }) => {
      const progress = (value: ToolProgress): void => emit('progress', value);
      const whole = { ...(call as ToolCall), signal, ...(wantsProgress && { progress }) };
      return checked(
        checkResult,
        await at(bag.toolRuntimes, index).callTool(name, args, Object.freeze(whole)),
      );
    },
    export: ({ index, batch }: { index: number; batch: CallRecord[] }) =>
      nothing(at(bag.exporters, index).export(deepFreeze(batch))),
    flush: ({ index }) => nothing(at(bag.exporters, index).flush?.()),
    authenticate: async ({ index, request }) => {
      const provider = at(bag.authProviders, index);
      const answer = await provider.authenticate(toAuthRequest(request));
      return checked((value) => checkIdentity(provider.name, value), answer);
    },
    reserve: async ({ index, estimate }: { index: number; estimate: UsageEstimate }) =>
      checked(checkReservation, await at(bag.authProviders, index).reserve?.(deepFreeze(estimate))),
    settle: ({ index, ticket, outcome }: { index: number; ticket: StorageValue; outcome: UsageOutcome }) =>
      nothing(at(bag.authProviders, index).settle?.(ticket, outcome)),
    storageCall: ({ method, args }: { method: string; args: readonly unknown[][] }) => {
      const methods = backend as unknown as Record<string, (...values: unknown[]) => unknown>;
      return methods[method]?.(...args.map(([value]) => value));
    },
  };
}

function describe(bag: Contributions, middleware: readonly MiddlewareRun[]): Description {
  return {
    routes: bag.routes.map(({ method, path }) => ({ method, path })),
    middleware: middleware.map(({ path }) => ({ path })),
    hooks: HOOKS.filter((name) => bag.hooks.some((hooks: LlmHooks) => hooks[name] !== undefined)),
    strategies: [...bag.strategies].map(([name, { observe }]) => ({ name, observes: observe !== undefined })),
    toolRuntimes: bag.toolRuntimes.length,
    evaluators: bag.evaluators.map(({ name, mode, input, output, window }) => ({
      name,
      mode,
      input: input !== undefined,
      output: output !== undefined,
      ...(window !== undefined && { window: window === Number.POSITIVE_INFINITY ? 'all' : window }),
    })),
    exporters: bag.exporters.map(({ name, flush }) => ({ name, flushes: flush !== undefined })),
    authProviders: bag.authProviders.map(({ name, reserve }) => ({
      name,
      keepsAccounts: reserve !== undefined,
    })),
    providers: [...bag.providers].map(([name, { chat, languageModel, embeddingModel }]) => ({
      name,
      chat: chat !== undefined,
      languageModel: languageModel !== undefined,
      embeddingModel: embeddingModel !== undefined,
    })),
    storageBackend:
      bag.storageBackend === null
        ? null
        : {
            closes: bag.storageBackend.close !== undefined,
            shared: bag.storageBackend.shared === true,
          },
  };
}

/** The handlers of one registration as Express composes them. */
function composed({ method, path, handlers }: RouteContribution): RequestHandler {
  const [first, ...rest] = handlers;
  if (method === 'mount' && first !== undefined && rest.length === 0) return first;
  const route = Router().route(path);
  route.all(...handlers);
  const { dispatch } = route as unknown as { dispatch: RequestHandler };
  if (first === undefined || rest.length > 0) return (req, res, next) => dispatch.call(route, req, res, next);
  // What dispatching comes to for a single handler.
  return (req, res, next) => {
    req.route = route;
    return first(req, res, next);
  };
}

/** Handlers that follow each other on one path, as one. */
function middlewareRuns(
  entries: readonly MiddlewareContribution[],
  failClosed: boolean,
  onSkipped: (error: unknown) => void,
): MiddlewareRun[] {
  const runs: { path: MiddlewareContribution['path']; handlers: RequestHandler[] }[] = [];
  for (const { path, handler } of entries) {
    const last = runs.at(-1);
    if (last !== undefined && String(last.path) === String(path)) last.handlers.push(handler);
    else runs.push({ path, handlers: [handler] });
  }
  return runs.map(({ path, handlers }) => ({ path, handler: inTurn(handlers, failClosed, onSkipped) }));
}

/** One that fails is skipped, as each would be on its own; the last one's failure is that of the call. */
function inTurn(
  handlers: readonly RequestHandler[],
  failClosed: boolean,
  onSkipped: (error: unknown) => void,
): RequestHandler {
  const [only, ...rest] = handlers;
  if (only !== undefined && rest.length === 0) return only;
  return async (req, res, next) => {
    for (const [index, handler] of handlers.entries()) {
      try {
        await new Promise<void>((resolve, reject) => {
          const step = (error?: unknown): void =>
            error == null || error === 'route' || error === 'router' ? resolve() : reject(error);
          const returned: unknown = handler(req, res, step);
          if (returned instanceof Promise) returned.catch(reject);
        });
      } catch (thrown) {
        const isAnswer = clientErrorStatus(thrown) !== undefined;
        if (isAnswer || failClosed || index === handlers.length - 1 || res.headersSent) throw thrown;
        onSkipped(thrown);
      }
    }
    next();
  };
}

function toAuthRequest(fields: Omit<AuthRequest, 'get'>): AuthRequest {
  const headers = Object.assign(Object.create(null), fields.headers) as AuthRequest['headers'];
  // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
  const get = (name: string): string | undefined => {
    const value = headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  return deepFreeze({ ...fields, headers, get });
}

function asError(subject: unknown): HookSubject {
  return { error: unpackError((subject as { error: PackedError }).error) };
}

/** What a plugin returns where nobody expects anything does not have to cross. */
async function nothing(value: unknown): Promise<void> {
  await value;
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`there is no contribution ${index}`);
  return item;
}
