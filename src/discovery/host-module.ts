import { registerHooks } from 'node:module';

const HOST_MODULE = 'routeiq-gateway/plugin';
/** What a plugin's router is made with: lent to plugins that bring none of their own. */
const LENT_MODULE = 'express';

/**
 * Lets every plugin import `routeiq-gateway/plugin`, wherever its folder lies and whether by `import` or by `require`:
 * it gets this gateway's own copy, also when one is installed beside it, so that the error classes are the same. A
 * plugin that finds no `express` gets the gateway's. Has to be called once, before any plugin is imported.
 *
 * @returns removes the hook again
 */
export function installHostModule(): () => void {
  // The package's own name, so that `exports` decides: the sources under --conditions=routeiq-source, else what was built.
  const host = import.meta.resolve(HOST_MODULE);
  const lent = import.meta.resolve(LENT_MODULE);
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier === HOST_MODULE) return { url: host, shortCircuit: true };
      if (specifier !== LENT_MODULE) return next(specifier, context);
      try {
        return next(specifier, context);
      } catch (error) {
        if (!isNotFound(error)) throw error;
        return { url: lent, shortCircuit: true };
      }
    },
  });
  return () => hooks.deregister();
}

function isNotFound(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}
