import { realpathSync, type Stats, statSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { PluginSecurityError } from '../errors.ts';
import { isAbsent } from './package-json.ts';

/** The kinds of file that may be a plugin, in the order in which they are looked for. */
export const CODE_EXTENSIONS: readonly string[] = ['.js', '.mjs', '.cjs', '.ts'];

/** What is at `path`, links followed; `null` when there is nothing, or a link that leads nowhere. */
export function statOrNull(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    if (isAbsent(error) || (error instanceof Error && 'code' in error && error.code === 'ELOOP')) return null;
    throw error;
  }
}

/** `path` itself, or `path` with an extension that code has; `null` when neither is a file. */
export function findCodeFile(path: string): string | null {
  const names = [path, ...CODE_EXTENSIONS.map((extension) => path + extension)];
  return names.find((name) => statOrNull(name)?.isFile()) ?? null;
}

/** The file at `path` with or without extension, else the `index` of the folder there. */
export function findModule(path: string): string | null {
  return findCodeFile(path) ?? findCodeFile(join(path, 'index'));
}

/** True when `path` lies below `folder`. Both are real paths: nothing is followed here. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/**
 * The real path of `path`, which has to lie below the real path of `folder`: a link may not lead a plugin's code out of
 * the folder that an operator has looked at.
 *
 * @throws PluginSecurityError `plugin_security`
 */
export function realPathInside(folder: string, path: string, specifier: string): string {
  const real = realpathSync(path);
  if (isInside(realpathSync(folder), real)) return real;
  throw new PluginSecurityError(
    'plugin_security',
    `Plugin "${specifier}" is or has a link that leads out of its folder`,
    {
      hint: 'Copy the files into the folder, or name the place that the link points to.',
    },
  );
}
