import type { Logger } from 'winston';
import { isGatewayError, toError } from '../errors.ts';
import { FolderWatcher } from './folder-watcher.ts';
import type { PluginHost } from './plugin-host.ts';

/**
 * `LLMROUTER_PLUGINS_WATCH`: plugins in folders are reloaded as their files change. What fails is logged, and tried
 * again when its files change the next time.
 */
export function reloadOnChange(
  host: PluginHost,
  { dirs, cwd, log }: { readonly dirs: readonly string[]; readonly cwd: string; readonly log: Logger },
): FolderWatcher {
  return new FolderWatcher({
    dirs,
    cwd,
    onChange: (specifiers) => reloadTogetherOrApart(host, specifiers),
    onFailure: (error) =>
      log.error('the plugin folders cannot be watched', { event: 'watch_failed', error: toError(error) }),
  });
}

/**
 * Together, because they may need each other; if that fails, each by itself, and again as long as one of them helps
 * another, so that one that is broken does not keep the others. The host has logged what failed.
 */
async function reloadTogetherOrApart(host: PluginHost, specifiers: ReadonlySet<string>): Promise<void> {
  if ((await succeeds(host, specifiers)) || specifiers.size === 1) return;
  const left = new Set(specifiers);
  for (let before = left.size + 1; left.size < before && left.size > 0; ) {
    before = left.size;
    for (const specifier of left) if (await succeeds(host, new Set([specifier]))) left.delete(specifier);
  }
}

async function succeeds(host: PluginHost, specifiers: ReadonlySet<string>): Promise<boolean> {
  try {
    await host.reload({ kind: 'changed', specifiers });
    return true;
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return false;
  }
}
