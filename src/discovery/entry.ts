import { isAbsolute, join } from 'node:path';
import { PluginLoadError, PluginSecurityError } from '../errors.ts';
import { findModule, realPathInside } from './files.ts';
import type { PackageJson } from './package-json.ts';
import { hasParentSegment } from './specifier.ts';

/** The conditions of `exports` that `import` meets. */
const CONDITIONS = ['node', 'import', 'module-sync', 'node-addons', 'default'];

/** A file that a package.json names, and the field that does. */
interface DeclaredEntry {
  readonly field: string;
  readonly file: string;
}

/**
 * The real path of the module that a plugin's folder is entered by: `llmrouter.entry`, `exports`, `main`, else the
 * folder's `index.js`, `.mjs`, `.cjs` or `.ts`.
 *
 * @param folder - real path
 * @throws PluginLoadError `plugin_load`, when there is none
 * @throws PluginSecurityError `plugin_security`, when it lies outside of the folder
 */
export function folderEntry(folder: string, pkg: PackageJson | null, specifier: string): string {
  const declared = pkg === null ? null : (manifestEntry(pkg) ?? exportsEntry(pkg) ?? mainEntry(pkg));
  if (declared !== null) return declaredFile(folder, declared, specifier);
  const index = findModule(join(folder, 'index'));
  if (index !== null) return realPathInside(folder, index, specifier);
  throw new PluginLoadError(`Plugin "${specifier}" has no entry point`, {
    hint: 'Add an index.js, index.mjs, index.cjs or index.ts, or a package.json with "main".',
  });
}

/** The entry that the manifest names. */
export function manifestEntry(pkg: PackageJson): DeclaredEntry | null {
  const manifest = pkg.llmrouter;
  if (typeof manifest !== 'object' || manifest === null || !('entry' in manifest)) return null;
  return typeof manifest.entry === 'string' ? { field: 'llmrouter.entry', file: manifest.entry } : null;
}

function mainEntry(pkg: PackageJson): DeclaredEntry | null {
  const main = pkg.main;
  return typeof main === 'string' && main !== '' ? { field: 'main', file: main } : null;
}

function exportsEntry(pkg: PackageJson): DeclaredEntry | null {
  const file = conditionalTarget(rootExport(pkg.exports));
  return file === null ? null : { field: 'exports', file };
}

/** `exports` is either the target of `.` itself or a table of sub-paths, whose keys begin with a dot. */
function rootExport(exports: unknown): unknown {
  if (typeof exports !== 'object' || exports === null || Array.isArray(exports)) return exports;
  const subPaths = Object.entries(exports).filter(([key]) => key.startsWith('.'));
  return subPaths.length === 0 ? exports : subPaths.find(([key]) => key === '.')?.[1];
}

function conditionalTarget(target: unknown): string | null {
  if (typeof target === 'string') return target;
  if (typeof target !== 'object' || target === null) return null;
  const choices = Array.isArray(target)
    ? target
    : Object.entries(target)
        .filter(([condition]) => CONDITIONS.includes(condition))
        .map(([, choice]) => choice);
  for (const choice of choices) {
    const found = conditionalTarget(choice);
    if (found !== null) return found;
  }
  return null;
}

/**
 * The real path of a file that a package.json names.
 *
 * @throws PluginLoadError `plugin_load`, when it does not exist
 * @throws PluginSecurityError `plugin_security`, when it lies outside of the folder
 */
function declaredFile(folder: string, { field, file }: DeclaredEntry, specifier: string): string {
  const seen = `${field} of its package.json is ${JSON.stringify(file)}`;
  if (isAbsolute(file) || /[\\\p{Cc}]/u.test(file) || hasParentSegment(file)) {
    throw new PluginSecurityError(
      'plugin_security',
      `Plugin "${specifier}": ${seen}, expected a path inside the plugin's own folder`,
    );
  }
  const found = findModule(join(folder, file));
  if (found !== null) return realPathInside(folder, found, specifier);
  throw new PluginLoadError(`Plugin "${specifier}": ${seen}, and there is no such file`, {
    hint: 'Build the plugin first, or correct that field of its package.json.',
  });
}
