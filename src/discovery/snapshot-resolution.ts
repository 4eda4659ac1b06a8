import { registerHooks } from 'node:module';
import { isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isInside } from './files.ts';

/** A copy of a plugin, and what it is a copy of. Real paths of folders. */
export interface CopiedFrom {
  readonly copy: string;
  readonly origin: string;
  /** A path from which packages are found as from the original, those in its own folder left out. */
  readonly importer: string;
}

/**
 * Lets copies find packages. What a copy brings itself, in a `node_modules` of its own, is taken from the copy; every
 * other package from where the original would find it, never from the folders above the copy: those are not the
 * plugin's surroundings, and others may write there.
 *
 * @param copies - is read at each resolution
 * @returns removes the hook again
 */
export function resolveInCopies(copies: readonly CopiedFrom[]): () => void {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const from = isPackage(specifier) ? findCopy(copies, context.parentURL) : undefined;
      if (from === undefined) return next(specifier, context);
      const own = resolveOwn(from, () => next(specifier, context));
      if (own !== null) return own;
      return next(specifier, { ...context, parentURL: pathToFileURL(from.importer).href });
    },
  });
  return () => hooks.deregister();
}

/** The resolution when it leads to a file of the copy itself, or to no file at all (`node:fs`). */
function resolveOwn<T extends { readonly url: string }>({ copy }: CopiedFrom, resolve: () => T): T | null {
  try {
    const found = resolve();
    const path = toPath(found.url);
    return path === null || isInside(copy, path) ? found : null;
  } catch {
    return null; // asked again from the original's place, which throws its own error
  }
}

/** Neither a path, nor a URL, nor an import of the package's own (`#x`). */
function isPackage(specifier: string): boolean {
  return !/^(?:\.{0,2}\/|\.{1,2}$|#|[a-z][a-z0-9+.-]*:)/i.test(specifier) && !isAbsolute(specifier);
}

function findCopy(copies: readonly CopiedFrom[], parent: string | undefined): CopiedFrom | undefined {
  const path = parent === undefined ? null : toPath(parent);
  return path === null ? undefined : copies.find(({ copy }) => isInside(copy, path));
}

function toPath(url: string): string | null {
  if (!url.startsWith('file:')) return null;
  return fileURLToPath(url.replace(/[?#].*$/, ''));
}
