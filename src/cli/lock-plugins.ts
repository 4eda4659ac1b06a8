import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { findDisabled } from '../composition/admit.ts';
import { realLockfile } from '../composition/plugin-lock.ts';
import { formatLock, type LockedPlugin } from '../config/lockfile.ts';
import type { GatewayConfig } from '../config/types.ts';
import { discover } from '../discovery/candidates.ts';
import { digestPlugin } from '../discovery/digest.ts';
import { readPackageJson } from '../discovery/package-json.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { ConfigError, isGatewayError } from '../errors.ts';
import { checkAllowlist } from '../policy/allowlist.ts';
import { EXIT } from './exit-code.ts';

type Write = (text: string) => void;

/** Where the lock file goes when `LLMROUTER_PLUGINS_LOCKFILE` does not say. */
const DEFAULT_NAME = 'plugins.lock.json';

/** What there is to know of a manifest before the code: of package.json these fields and no other. */
const PACKAGE_FIELDS = ['name', 'version', 'description', 'llmrouter'];

/**
 * `routeiq plugins lock`: writes the digests of all plugins that the allowlist and `LLMROUTER_PLUGINS_DISABLED` let
 * load, inactive ones too. No code of a plugin is run. When one cannot be locked nothing is written: a lock file that
 * lost a plugin would no longer know what that one kept shut.
 *
 * @returns 0 when the file was written, 1 when a plugin cannot be locked
 * @throws ConfigError `config_invalid`: the file cannot be written
 */
export async function lockPlugins(config: GatewayConfig, write: Write): Promise<number> {
  const path = config.plugins.lockfile ?? join(config.cwd, DEFAULT_NAME);
  const { locked, isComplete } = await lockAll(config, path, write);
  const shown = relative(config.cwd, path) || path;
  if (!isComplete) {
    write(`${shown} was not written\n`);
    return EXIT.FAILURE;
  }
  await replaceFile(path, formatLock(locked));
  write(`${shown} was written: ${locked.length} ${locked.length === 1 ? 'plugin' : 'plugins'}\n`);
  if (config.plugins.lockfile === null) write(`set LLMROUTER_PLUGINS_LOCKFILE=${shown} to have it checked\n`);
  return EXIT.OK;
}

async function lockAll(
  { cwd, plugins }: GatewayConfig,
  path: string,
  write: Write,
): Promise<{ readonly locked: readonly LockedPlugin[]; readonly isComplete: boolean }> {
  const locked: LockedPlugin[] = [];
  let isComplete = true;
  for (const candidate of discover({ specifiers: plugins.specifiers, dirs: plugins.dirs, cwd })) {
    const unwanted =
      checkAllowlist(candidate, plugins.allowlist) ?? findDisabled(candidate, plugins.disabled);
    if (unwanted !== null) {
      write(`skipped   ${candidate.specifier}\n          ${unwanted.code}: ${unwanted.message}\n`);
      continue;
    }
    try {
      const plugin = await lockOne(candidate, path);
      locked.push(plugin);
      write(`locked    ${plugin.specifier} ${plugin.digest} (${plugin.files.size} files)\n`);
    } catch (error) {
      if (!isGatewayError(error)) throw error;
      isComplete = false;
      write(`failed    ${candidate.specifier}\n          ${error.code}: ${error.message}\n`);
    }
  }
  return { locked, isComplete };
}

async function lockOne(candidate: PluginCandidate, path: string): Promise<LockedPlugin> {
  const { specifier, source, root, manifest, problem } = candidate;
  if (problem !== null) throw problem;
  const pkg = manifest === null || root === null ? null : readPackageJson(root, specifier);
  const known = Object.entries(pkg ?? {}).filter(([field]) => PACKAGE_FIELDS.includes(field));
  const { digest, files } = await digestPlugin(candidate, realLockfile(path));
  return { specifier, source, package: pkg && Object.fromEntries(known), digest, files };
}

/** Readers see the old file or the new one, never a part: a gateway may start at this moment. */
async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(draft, 'wx', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error';
    throw new ConfigError(
      [`LLMROUTER_PLUGINS_LOCKFILE: ${JSON.stringify(path)} cannot be written (${code})`],
      {
        cause: error,
      },
    );
  }
}
