import type { Logger } from 'winston';
import type { GatewayConfig } from '../config/types.ts';
import type { Snapshots } from '../discovery/snapshots.ts';
import type { PluginCandidate } from '../discovery/types.ts';
import { toError } from '../errors.ts';
import type { PluginLoader } from '../isolation/tier-loader.ts';
import type { Watchdog } from '../watchdog/watchdog.ts';
import type { ImportGuard, PluginVersion } from './admit.ts';

export interface PluginImportsOptions {
  readonly config: GatewayConfig;
  readonly log: Logger;
  /** Imports plugins, in this process or in ones of their own. */
  readonly loader: PluginLoader;
  readonly snapshots: Snapshots;
  readonly watchdog: Watchdog;
}

/** What surrounds the import of a plugin's code: which of its copies is imported, and who watches. */
export class PluginImports {
  readonly #options: PluginImportsOptions;

  constructor(options: PluginImportsOptions) {
    this.#options = options;
  }

  /** For plugins that run where they lie. They can come back only from a copy, which costs time if nothing reloads. */
  inPlace(held: ImportGuard['held'] = []): ImportGuard {
    return { ...this.#around, held, keep: (candidate) => this.#keepIfReloadable(candidate) };
  }

  /** For versions that are loaded beside earlier ones. */
  fromCopies(): ImportGuard {
    return {
      ...this.#around,
      held: [],
      keep: async (candidate) => {
        const kept = await this.#options.snapshots.take(candidate);
        return { imported: kept.candidate, kept };
      },
    };
  }

  get #around(): Pick<ImportGuard, 'watch' | 'load' | 'isAside'> {
    const { loader, snapshots, watchdog } = this.#options;
    return {
      watch: (name, { specifier, isFile, entry, root }, load) =>
        watchdog.duringImport({ name, specifier, root: isFile ? entry : root }, load),
      load: (candidate) => loader.load(candidate, snapshots.sourceOf(candidate)),
      isAside: loader.isAside,
    };
  }

  async #keepIfReloadable(candidate: PluginCandidate): Promise<PluginVersion> {
    const { config, log, snapshots } = this.#options;
    if (config.admin.key === null && !config.plugins.watch) return { imported: candidate, kept: null };
    try {
      return { imported: candidate, kept: await snapshots.take(candidate) };
    } catch (error) {
      log.warn('a plugin cannot be kept: after a reload this version could not come back', {
        event: 'plugin_not_kept',
        specifier: candidate.specifier,
        error: toError(error),
      });
      return { imported: candidate, kept: null };
    }
  }
}
