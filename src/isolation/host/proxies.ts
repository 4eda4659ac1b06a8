import type { PluginApp } from '../../plugin-api/app.ts';
import type { AuthProvider, AuthRequest } from '../../plugin-api/auth.ts';
import type { Evaluator } from '../../plugin-api/evaluator.ts';
import type { Exporter } from '../../plugin-api/exporter.ts';
import type { LlmHooks, LlmRequest } from '../../plugin-api/llm.ts';
import type { RoutingStrategy } from '../../plugin-api/routing.ts';
import type { StorageBackend } from '../../plugin-api/storage.ts';
import type { ToolProgress, ToolRuntime } from '../../plugin-api/tools.ts';
import { packError } from '../channel/errors.ts';
import type { Description, HookName, HookOutcome } from '../protocol.ts';
import { answer, EvaluatorCaller } from './evaluator-caller.ts';
import { type Connect, proxyHandler } from './http-proxy.ts';
import { LlmCaller } from './llm-caller.ts';
import { proxyProvider } from './provider-proxy.ts';

const STORAGE_METHODS = ['get', 'set', 'delete', 'increment', 'compareAndSet', 'list'] as const;

/** Told what the proxies of one plugin need. */
export interface ProxyOptions {
  readonly connect: Connect;
  /** Closes the backend. */
  readonly closeBackend: () => Promise<unknown>;
  /** Called when the backend has been closed: nothing more is asked of the plugin. */
  readonly onStorageClosed: () => void;
}

/**
 * Registers on `app` what a plugin has registered in its own process: the same contributions, each of which asks that
 * process. What the registrar refuses here (a path of another plugin's, a capability that is missing) is refused.
 */
export function registerProxies(app: PluginApp, description: Description, options: ProxyOptions): void {
  const { connect } = options;
  const llm = new LlmCaller(connect);
  for (const [index, { method, path }] of description.routes.entries()) {
    const handler = proxyHandler(connect, 'route', index);
    if (method === 'mount') app.mount(path, handler);
    else app[method](path, handler as never);
  }
  for (const [index, { path }] of description.middleware.entries()) {
    const handler = proxyHandler(connect, 'middleware', index);
    if (path === null) app.use(handler);
    else app.use(path, handler);
  }
  if (description.hooks.length > 0) app.llm(hooks(llm, description.hooks));
  for (const [index, { name, observes }] of description.strategies.entries())
    app.routingStrategy(name, strategy(llm, connect, index, observes));
  for (let index = 0; index < description.toolRuntimes; index++) app.toolRuntime(toolRuntime(connect, index));
  const callers = evaluatorCallers(llm, description.evaluators);
  for (const [index, entry] of description.evaluators.entries())
    app.evaluator(evaluator(callers(index), index, entry));
  for (const [index, entry] of description.exporters.entries()) app.exporter(exporter(connect, index, entry));
  for (const [index, entry] of description.authProviders.entries())
    app.authProvider(authProvider(connect, index, entry));
  for (const [index, entry] of description.providers.entries())
    app.provider(entry.name, proxyProvider(llm, connect, index, entry));
  if (description.storageBackend !== null)
    app.storageBackend(storageBackend(description.storageBackend, options));
}

function hooks(llm: LlmCaller, names: readonly HookName[]): LlmHooks {
  const ask = async (name: HookName, request: LlmRequest, subject: unknown = null): Promise<HookOutcome> =>
    ((await llm.call('hook', request, { name, subject })) ?? {}) as HookOutcome;
  const all: Required<LlmHooks> = {
    onRequest: async (request) => orNothing(await ask('onRequest', request)) as never,
    onRoute: async (request, route) => {
      await ask('onRoute', request, route);
    },
    onChunk: async (request, event) => (await ask('onChunk', request, event)).events,
    onResponse: async (request, response) =>
      orNothing(await ask('onResponse', request, answer(response))) as never,
    onError: async (request, error) => {
      await ask('onError', request, { error: packError(error) });
    },
  };
  return Object.fromEntries(names.map((name) => [name, all[name]]));
}

/** An object without members is how "nothing" crosses. */
function orNothing(outcome: HookOutcome): HookOutcome | undefined {
  if (typeof outcome === 'object' && outcome !== null && Object.keys(outcome).length === 0) return undefined;
  return outcome;
}

function strategy(llm: LlmCaller, connect: Connect, index: number, observes: boolean): RoutingStrategy {
  return {
    select: async (request, candidates, load) =>
      (await llm.call('select', request, { index, candidates, load })) as string,
    ...(observes && { observe: (result) => ask(connect, 'observe', { index, result }) as Promise<void> }),
  };
}

function toolRuntime(connect: Connect, index: number): ToolRuntime {
  return {
    listTools: () => ask(connect, 'listTools', { index }) as never,
    callTool: async (name, args, { signal, progress, ...call }) =>
      (await connect()).call(
        'callTool',
        { index, name, args, call, wantsProgress: progress !== undefined },
        { signal, onEvent: (_event, value) => progress?.(value as ToolProgress) },
      ) as never,
  };
}

type Evaluators = Description['evaluators'];
type Callers = Readonly<Record<'input' | 'output', EvaluatorCaller>>;

/** Those that block are asked one after the other and cross together; those that observe run side by side. */
function evaluatorCallers(llm: LlmCaller, all: Evaluators): (index: number) => Callers {
  const blocking = (side: 'input' | 'output'): EvaluatorCaller => {
    const indexes = [...all.keys()].filter((index) => all[index]?.mode === 'block' && all[index][side]);
    return new EvaluatorCaller(llm, indexes);
  };
  const together: Callers = { input: blocking('input'), output: blocking('output') };
  return (index) => {
    if (all[index]?.mode === 'block') return together;
    const alone = new EvaluatorCaller(llm, [index]);
    return { input: alone, output: alone };
  };
}

function evaluator(callers: Callers, index: number, entry: Evaluators[number]): Evaluator {
  const { name, mode, input, output, window } = entry;
  return {
    name,
    mode,
    ...(window !== undefined && { window }),
    ...(input && { input: (request) => callers.input.judge(index, request, null) as never }),
    ...(output && {
      output: (request, response) => callers.output.judge(index, request, response) as never,
    }),
  };
}

function exporter(
  connect: Connect,
  index: number,
  { name, flushes }: Description['exporters'][number],
): Exporter {
  return {
    name,
    export: (batch) => ask(connect, 'export', { index, batch }) as Promise<void>,
    ...(flushes && { flush: () => attended(ask(connect, 'flush', { index }) as Promise<void>) }),
  };
}

/** No request waits for it whose connection would keep the gateway alive: it must not end before the answer. */
async function attended(answer: Promise<void>): Promise<void> {
  const alive = setInterval(() => undefined, 2 ** 31 - 1);
  try {
    await answer;
  } finally {
    clearInterval(alive);
  }
}

function authProvider(
  connect: Connect,
  index: number,
  { name, keepsAccounts }: Description['authProviders'][number],
): AuthProvider {
  return {
    name,
    authenticate: async (request) =>
      (await ask(connect, 'authenticate', { index, request: view(request) })) as null,
    ...(keepsAccounts && {
      reserve: async (estimate) => (await ask(connect, 'reserve', { index, estimate })) as null,
      settle: (ticket, outcome) => ask(connect, 'settle', { index, ticket, outcome }) as Promise<void>,
    }),
  };
}

function view({ id, method, path, url, headers, ip }: AuthRequest): Omit<AuthRequest, 'get'> {
  return { id, method, path, url, headers, ip };
}

function storageBackend(
  { closes, shared }: NonNullable<Description['storageBackend']>,
  options: ProxyOptions,
): StorageBackend {
  const { connect, closeBackend, onStorageClosed } = options;
  const call = (method: string, args: readonly unknown[]): Promise<unknown> =>
    ask(connect, 'storageCall', { method, args: args.map((value) => (value === undefined ? [] : [value])) });
  const methods = STORAGE_METHODS.map((method) => [
    method,
    (...args: readonly unknown[]) => call(method, args),
  ]);
  const close = async (): Promise<void> => {
    try {
      await closeBackend();
    } finally {
      onStorageClosed();
    }
  };
  return { ...Object.fromEntries(methods), shared, ...(closes && { close }) } as StorageBackend;
}

async function ask(connect: Connect, method: string, params: unknown): Promise<unknown> {
  return (await connect()).call(method, params);
}
