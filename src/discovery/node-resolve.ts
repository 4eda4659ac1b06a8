import { randomUUID } from 'node:crypto';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { statOrNull } from './files.ts';

/** Node's codes for "there is no such package, or it has no such module". */
const NOT_THERE = new Set(['ERR_MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED']);

/**
 * The real path of the file that `import(specifier)` would load if it stood in a file of `folder`; `null` when there is
 * none. Nothing is loaded.
 *
 * `import.meta.resolve` resolves from its own file only. A hook that lives for this one call hands Node's own resolver
 * another parent, so that `exports`, conditions and the search through parent folders are Node's and no copy of them.
 *
 * @throws Error of Node, for example `ERR_INVALID_PACKAGE_TARGET`
 */
export function resolveLikeImport(specifier: string, folder: string): string | null {
  const probe = `routeiq-resolve:${randomUUID()}`;
  const parentURL = pathToFileURL(join(folder, 'package.json')).href;
  const hooks = registerHooks({
    resolve: (asked, context, next) =>
      asked === probe ? next(specifier, { ...context, parentURL }) : next(asked, context),
  });
  try {
    const url = import.meta.resolve(probe);
    const path = url.startsWith('file:') ? fileURLToPath(url) : null;
    // It answers with the URL of a file that is missing, or of a folder, as well.
    return path !== null && statOrNull(path)?.isFile() ? path : null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && NOT_THERE.has(String(error.code))) return null;
    throw error;
  } finally {
    hooks.deregister();
  }
}
