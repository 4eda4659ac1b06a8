import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PluginLoadError } from '../errors.ts';

/** The parsed package.json of a plugin. Its fields are whatever its author wrote. */
export type PackageJson = Readonly<Record<string, unknown>>;

/**
 * The package.json in `folder`; `null` when there is none.
 *
 * @throws PluginLoadError `plugin_load`, when it is not a JSON object
 */
export function readPackageJson(folder: string, specifier: string): PackageJson | null {
  let text: string;
  try {
    text = readFileSync(join(folder, 'package.json'), 'utf8');
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
  return parseObject(text, specifier);
}

/** The `name` of a package.json. */
export function packageName(pkg: PackageJson | null): string | null {
  return typeof pkg?.name === 'string' && pkg.name !== '' ? pkg.name : null;
}

/** True for the errors of the file system that mean "there is no such file". */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

function parseObject(text: string, specifier: string): PackageJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : '';
    throw new PluginLoadError(`Plugin "${specifier}": its package.json is not valid JSON: ${reason}`, {
      cause,
    });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as PackageJson;
  throw new PluginLoadError(`Plugin "${specifier}": its package.json is not a JSON object`);
}
