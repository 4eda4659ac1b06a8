import type { Logger } from 'winston';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { ReloadReport } from '../lifecycle/view.ts';
import type { UpgradeCounts } from '../telemetry/upgrade-counts.ts';
import type { Watchdog } from '../watchdog/watchdog.ts';
import type { Generation } from './generation.ts';
import type { ReloadScope } from './reload-plan.ts';
import { Reloader, type ReloaderOptions } from './reloader.ts';
import { Retirement, type RetirementOptions } from './retirement.ts';

export interface UpgradesOptions
  extends Omit<ReloaderOptions, 'registry' | 'swap' | 'discard' | 'retire'>,
    Omit<RetirementOptions, 'registry'> {
  readonly log: Logger;
  readonly watchdog: Watchdog;
  /** Counts reloads. */
  readonly upgrades: UpgradeCounts;
  readonly current: Generation;
  /** Told after the current generation has become another one, before anything else happens. */
  readonly onAdopted: () => void;
  /** Told of a plugin whose new version failed on probation, and was replaced by the one before it. */
  readonly onRolledBack: (plugin: string, cause: string) => void;
}

/** How versions of plugins come, prove themselves, go back and end. The caller sees to it that one happens at a time. */
export class Upgrades {
  readonly #options: UpgradesOptions;
  readonly #reloader: Reloader;
  readonly #retirement: Retirement;

  constructor(options: UpgradesOptions) {
    const { registry } = options.current;
    this.#options = options;
    this.#retirement = new Retirement({ ...options, registry });
    this.#reloader = new Reloader({
      ...options,
      registry,
      swap: (staged) => this.#swap(staged),
      discard: (staged, records) => this.#retirement.discard(staged.registry, records),
      retire: (records) => this.#retirement.retire(records),
    });
  }

  /** @throws GatewayError `not_found`; ReloadFailedError `plugin_reload_failed`: nothing has changed */
  async reload(scope: ReloadScope): Promise<ReloadReport> {
    const { upgrades, watchdog } = this.#options;
    try {
      const report = await watchdog.patiently(() => this.#reloader.run(scope));
      if (report.changed.length > 0) upgrades.reloads.ok++;
      return report;
    } catch (error) {
      upgrades.reloads.failed++;
      throw error;
    }
  }

  /**
   * Brings back the version before one that was quarantined on probation.
   *
   * @throws ReloadFailedError `plugin_reload_failed`: it cannot be started any more
   */
  async rollBack(record: PluginRecord, cause: string): Promise<void> {
    const { log, upgrades, current, onRolledBack } = this.#options;
    const { registry } = current;
    // Whoever came before in the queue has settled it in another way.
    if (!registry.has(record) || record.state !== 'quarantined') return;
    const from = record.metadata?.version;
    await this.reload({ kind: 'previous', record, cause });
    const to = registry.get(record.name)?.metadata?.version;
    upgrades.rolledBack(record.name);
    const message = 'a new version failed on probation, and the version before it is back';
    log.error(message, { event: 'plugin_rolled_back', plugin: record.name, from, to, cause });
    onRolledBack(record.name, cause);
  }

  /** Resolves when all versions that are being retired are. */
  over(): Promise<void> {
    return this.#retirement.over();
  }

  #swap(staged: Generation): void {
    const { current, onAdopted } = this.#options;
    current.adopt(staged);
    onAdopted();
    for (const record of staged.registry.records) this.#retirement.keepUntilProven(record);
  }
}
