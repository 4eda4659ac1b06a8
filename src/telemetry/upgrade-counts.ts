/** Numbers of reloads. Plain fields, rendered when scraped. */
export class UpgradeCounts {
  readonly reloads: { ok: number; failed: number } = { ok: 0, failed: 0 };
  readonly #rollbacks = new Map<string, number>();

  /** A new version of `plugin` failed on probation. */
  rolledBack(plugin: string): void {
    this.#rollbacks.set(plugin, (this.#rollbacks.get(plugin) ?? 0) + 1);
  }

  /** By plugin. */
  get rollbacks(): ReadonlyMap<string, number> {
    return this.#rollbacks;
  }
}
