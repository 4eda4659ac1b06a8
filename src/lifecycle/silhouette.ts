import { Contributions, type RouteContribution } from '../contributions.ts';

/**
 * The outline of a plugin's contributions: what has to be kept shut while it is quarantined. It is stored with a
 * sticky quarantine, since after a restart the plugin's code is not run to find out. JSON.
 */
export interface Silhouette {
  readonly routes: readonly { readonly method: RouteContribution['method']; readonly path: string }[];
  readonly authProviders: readonly string[];
  readonly blockEvaluators: readonly {
    readonly name: string;
    readonly input: boolean;
    readonly output: boolean;
  }[];
  readonly middleware: boolean;
  readonly hooks: boolean;
  readonly storageBackend: boolean;
}

/** The outline of a bag. */
export function outline(bag: Contributions): Silhouette {
  return {
    routes: bag.routes.map(({ method, path }) => ({ method, path })),
    authProviders: bag.authProviders.map(({ name }) => name),
    blockEvaluators: bag.evaluators
      .filter(({ mode }) => mode === 'block')
      .map(({ name, input, output }) => ({ name, input: input !== undefined, output: output !== undefined })),
    middleware: bag.middleware.length > 0,
    hooks: bag.hooks.length > 0,
    storageBackend: bag.storageBackend !== null,
  };
}

/** A bag of the same outline. A sticky quarantine admits no call, so its contributions are never called. */
export function placeholder(silhouette: Silhouette): Contributions {
  const bag = new Contributions();
  bag.routes.push(...silhouette.routes.map((route) => ({ ...route, handlers: [unreachable] })));
  bag.authProviders.push(...silhouette.authProviders.map((name) => ({ name, authenticate: unreachable })));
  for (const { name, input, output } of silhouette.blockEvaluators) {
    bag.evaluators.push({
      name,
      mode: 'block',
      ...(input && { input: unreachable }),
      ...(output && { output: unreachable }),
    });
  }
  if (silhouette.middleware) bag.middleware.push({ path: null, handler: unreachable });
  if (silhouette.hooks) bag.hooks.push({ onRequest: unreachable });
  if (silhouette.storageBackend) bag.storageBackend = UNREACHABLE_BACKEND;
  return bag;
}

function unreachable(): never {
  throw new Error('a placeholder of a quarantined plugin was called');
}

const UNREACHABLE_BACKEND = Object.freeze({
  get: unreachable,
  set: unreachable,
  delete: unreachable,
  increment: unreachable,
  compareAndSet: unreachable,
  list: unreachable,
});
