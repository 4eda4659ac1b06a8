import { registerHooks } from 'node:module';

const HOST_MODULE = 'routeiq-gateway/plugin';

/**
 * Lets every plugin import `routeiq-gateway/plugin`, wherever its folder lies and whether by `import` or by `require`:
 * it gets this gateway's own copy, also when one is installed beside it, so that the error classes are the same.
 * Has to be called once, before any plugin is imported.
 *
 * @returns removes the hook again
 */
export function installHostModule(): () => void {
  // The package's own name, so that `exports` decides: the sources under --conditions=source, else what was built.
  const url = import.meta.resolve(HOST_MODULE);
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === HOST_MODULE ? { url, shortCircuit: true } : next(specifier, context),
  });
  return () => hooks.deregister();
}
