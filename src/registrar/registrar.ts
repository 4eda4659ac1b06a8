import {
  type Contributions,
  ROUTE_METHODS,
  type RouteContribution,
  type RouteMethodName,
} from '../contributions.ts';
import { CapabilityError, PluginLoadError } from '../errors.ts';
import type { PluginApp, RouteMethod } from '../plugin-api/app.ts';
import type { AuthProvider } from '../plugin-api/auth.ts';
import type { PluginCapability } from '../plugin-api/capability.ts';
import type { Evaluator } from '../plugin-api/evaluator.ts';
import type { Exporter } from '../plugin-api/exporter.ts';
import type { LlmHooks } from '../plugin-api/llm.ts';
import type { Provider } from '../plugin-api/provider.ts';
import type { RoutingStrategy } from '../plugin-api/routing.ts';
import type { StorageBackend } from '../plugin-api/storage.ts';
import type { ToolRuntime } from '../plugin-api/tools.ts';
import { ArgumentChecks } from './arguments.ts';
import type { NameTable } from './name-table.ts';

/** Who registers, and what policy lets it. */
export interface RegistrarOptions {
  readonly plugin: string;
  /** What the metadata declares; `null`: a legacy plugin, bounded by `allowed` alone. */
  readonly declared: readonly PluginCapability[] | null;
  /** What the operator allows; `null`: everything. */
  readonly allowed: readonly PluginCapability[] | null;
  readonly bag: Contributions;
  /** Claims all paths of a registration for the plugin, or none and throws `route_conflict`. */
  readonly claimRoutes: (method: RouteContribution['method'], paths: readonly string[]) => void;
  readonly names: NameTable;
}

/** A plugin's registrar, and the switch that closes it. */
export interface Registrar {
  readonly app: PluginApp;
  /** After this every call throws: nothing can be registered any more. */
  close(): void;
}

const LLM_HOOKS = ['onRequest', 'onRoute', 'onChunk', 'onResponse', 'onError'] as const;
const PROVIDER_METHODS = ['chat', 'languageModel', 'embeddingModel'] as const;
const STORAGE_METHODS = ['get', 'set', 'delete', 'increment', 'compareAndSet', 'list'] as const;

/** Makes the facade that one plugin's `startup` gets. It fills the plugin's bag and has no other effect. */
export function createRegistrar(options: RegistrarOptions): Registrar {
  const builder = new RegistrarBuilder(options);
  return { app: builder.app, close: () => builder.close() };
}

/** Where a plugin's registrations go. */
type Target = Pick<RegistrarOptions, 'bag' | 'claimRoutes' | 'names'>;

/** One call of the facade: what it was given, and where it goes. */
type Effect = (target: Target, ...values: unknown[]) => void;

class RegistrarBuilder {
  readonly app: PluginApp;
  readonly #policy: Pick<RegistrarOptions, 'plugin' | 'declared' | 'allowed'>;
  readonly #check: ArgumentChecks;
  /** `null` once closed: a plugin that keeps the facade must not keep a whole generation of plugins with it. */
  #target: Target | null;

  constructor({ plugin, declared, allowed, bag, claimRoutes, names }: RegistrarOptions) {
    this.#policy = { plugin, declared, allowed };
    this.#target = { bag, claimRoutes, names };
    this.#check = new ArgumentChecks(plugin);
    this.app = this.#facade();
  }

  close(): void {
    this.#target = null;
  }

  #facade(): PluginApp {
    const { plugin } = this.#policy;
    const check = this.#check;
    const guarded = this.#guarded.bind(this);
    const app: PluginApp = Object.freeze({
      ...this.#routeMethods(),
      mount: guarded('mount()', 'ROUTES', (target, path, router) => {
        this.#addRoutes(target, 'mount', 'mount()', path, [router]);
      }),
      use: guarded('use()', 'MIDDLEWARE', ({ bag }, ...values) => {
        const { paths, handlers } = check.middleware('use()', values);
        for (const handler of handlers)
          bag.middleware.push({ path: paths.length === 0 ? null : paths, handler });
      }),
      llm: guarded('llm()', 'MIDDLEWARE', ({ bag }, hooks) => {
        bag.hooks.push(check.anyOf<LlmHooks>('llm()', hooks, LLM_HOOKS));
      }),
      routingStrategy: guarded('routingStrategy()', 'ROUTING_STRATEGY', ({ bag, names }, name, strategy) => {
        const checked = check.methods<RoutingStrategy>(
          'routingStrategy()',
          strategy,
          ['select'],
          ['observe'],
        );
        const key = check.name('routingStrategy()', name);
        names.claim('routing strategy', key, plugin);
        bag.strategies.set(key, checked);
      }),
      toolRuntime: guarded('toolRuntime()', 'TOOL_RUNTIME', ({ bag }, runtime) => {
        bag.toolRuntimes.push(
          check.methods<ToolRuntime>('toolRuntime()', runtime, ['listTools', 'callTool'], []),
        );
      }),
      evaluator: guarded('evaluator()', 'EVALUATOR', ({ bag }, evaluator) => {
        bag.evaluators.push(this.#evaluator(evaluator));
      }),
      exporter: guarded('exporter()', 'OBSERVABILITY_EXPORTER', ({ bag }, exporter) => {
        bag.exporters.push(this.#named<Exporter>('exporter()', exporter, ['export'], ['flush']));
      }),
      authProvider: guarded('authProvider()', 'AUTH_PROVIDER', ({ bag }, provider) => {
        bag.authProviders.push(this.#authProvider(provider));
      }),
      storageBackend: guarded('storageBackend()', 'STORAGE_BACKEND', ({ bag, names }, backend) => {
        const checked = check.methods<StorageBackend>('storageBackend()', backend, STORAGE_METHODS, [
          'close',
        ]);
        names.claim('storage backend', 'the gateway', plugin);
        bag.storageBackend = checked;
      }),
      provider: guarded('provider()', 'PROVIDER', ({ bag, names }, name, provider) => {
        const checked = check.anyOf<Provider>('provider()', provider, PROVIDER_METHODS);
        const key = check.name('provider()', name);
        names.claim('provider', key, plugin);
        bag.providers.set(key, checked);
      }),
    });
    return app;
  }

  #routeMethods(): Record<RouteMethodName, RouteMethod> {
    const entries = ROUTE_METHODS.map((method) => [
      method,
      this.#guarded(`${method}()`, 'ROUTES', (target, path, ...handlers) => {
        this.#addRoutes(target, method, `${method}()`, path, handlers);
      }),
    ]);
    return Object.fromEntries(entries) as Record<RouteMethodName, RouteMethod>;
  }

  /** Every registrar call goes through here: open, capability, and only then the effect. */
  #guarded(call: string, capability: PluginCapability, effect: Effect) {
    return (...values: unknown[]): PluginApp => {
      const target = this.#requireOpen(call);
      this.#requireCapability(call, capability);
      effect(target, ...values);
      return this.app;
    };
  }

  #requireOpen(call: string): Target {
    if (this.#target !== null) return this.#target;
    const { plugin } = this.#policy;
    const message = `Plugin "${plugin}": ${call} was called after startup; plugins register during startup() only`;
    throw new PluginLoadError(message, { plugin });
  }

  #requireCapability(call: string, capability: PluginCapability): void {
    const { plugin, declared, allowed } = this.#policy;
    if (declared !== null && !declared.includes(capability)) {
      throw new CapabilityError(
        'capability_not_declared',
        `Plugin "${plugin}": ${call} needs the capability ${capability}; its metadata declares ${listed(declared)}`,
        { plugin, hint: `Add "${capability}" to the capabilities in the plugin's metadata.` },
      );
    }
    if (allowed !== null && !allowed.includes(capability)) {
      throw new CapabilityError(
        'capability_not_allowed',
        `Plugin "${plugin}": ${call} needs the capability ${capability}; LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES allows ${listed(allowed)}`,
        { plugin, hint: `Add ${capability} to LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES.` },
      );
    }
  }

  /** Checks and claims every path before the first is added: a conflict leaves nothing behind. */
  #addRoutes(
    { bag, claimRoutes }: Target,
    method: RouteContribution['method'],
    call: string,
    path: unknown,
    values: readonly unknown[],
  ): void {
    const { paths, handlers } = this.#check.route(call, path, values);
    claimRoutes(method, paths);
    for (const each of paths) bag.routes.push({ method, path: each, handlers });
  }

  #named<T extends { readonly name: string }>(
    call: string,
    value: unknown,
    required: readonly string[],
    optional: readonly string[],
  ): T {
    const checked = this.#check.methods<T>(call, value, required, optional);
    this.#check.name(call, checked.name);
    return checked;
  }

  /** What is reserved and never settled would be lost to its owner, so each needs the other. */
  #authProvider(value: unknown): AuthProvider {
    const accounting = ['reserve', 'settle'] as const;
    const provider = this.#named<AuthProvider>('authProvider()', value, ['authenticate'], accounting);
    const missing = accounting.filter((name) => provider[name] === undefined);
    if (missing.length !== 1) return provider;
    throw this.#check.error(
      'authProvider()',
      `no ${missing[0]}()`,
      'both reserve() and settle(), or neither',
    );
  }

  #evaluator(value: unknown): Evaluator {
    const evaluator = this.#named<Evaluator>('evaluator()', value, [], ['input', 'output']);
    if (evaluator.mode !== 'block' && evaluator.mode !== 'observe') {
      throw this.#check.error(
        'evaluator()',
        `mode ${JSON.stringify(evaluator.mode)}`,
        'mode "block" or "observe"',
      );
    }
    if (!isWindow(evaluator.window)) {
      throw this.#check.error(
        'evaluator()',
        `window ${JSON.stringify(evaluator.window) ?? typeof evaluator.window}`,
        'a number of characters from 0, or "all"',
      );
    }
    if (evaluator.input === undefined && evaluator.output === undefined) {
      throw this.#check.error(
        'evaluator()',
        'neither input nor output',
        'at least one of input() and output()',
      );
    }
    return evaluator;
  }
}

function listed(capabilities: readonly PluginCapability[]): string {
  return capabilities.length === 0 ? 'none' : capabilities.join(', ');
}

/** Of plain JavaScript, anything may come. */
function isWindow(value: unknown): boolean {
  return value === undefined || value === 'all' || (typeof value === 'number' && value >= 0);
}
