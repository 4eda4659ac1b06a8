import { UNGUARDED } from '../composition/admit.ts';
import { loadPlugins } from '../composition/plugin-loader.ts';
import type { GatewayConfig } from '../config/types.ts';
import { Containment } from '../containment/containment.ts';
import type { Owner } from '../containment/owner.ts';
import { installHostModule } from '../discovery/host-module.ts';
import { createTierLoader } from '../isolation/tier-loader.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import { PluginRegistry } from '../lifecycle/registry.ts';
import { toReason } from '../lifecycle/start.ts';
import { explainOrder } from '../order/explain.ts';
import type { ResolvedOrder } from '../order/order.ts';
import { createSilentLogger } from '../telemetry/logger.ts';
import { EXIT } from './exit-code.ts';

type Write = (text: string) => void;

/**
 * `routeiq plugins check`: what the gateway would make of every plugin, without starting any.
 *
 * @returns 0 when all would load, 1 when one would not
 * @throws PluginDependencyError as the start would
 */
export async function checkPlugins(config: GatewayConfig, write: Write): Promise<number> {
  const { registry } = await inspect(config);
  for (const record of registry.records) write(describe(record));
  if (registry.records.length === 0) write('no plugins found\n');
  const bad = registry.records.some(({ state }) => state === 'rejected' || state === 'failed');
  return bad ? EXIT.FAILURE : EXIT.OK;
}

/** `routeiq plugins explain`: the load order, and one sentence for each plugin why it stands there. */
export async function explainPlugins(config: GatewayConfig, write: Write): Promise<number> {
  const { registry, order } = await inspect(config);
  const taking = new Set(registry.order);
  for (const { name, reason } of explainOrder(order)) {
    if (taking.has(name)) write(`${registry.order.indexOf(name) + 1}. ${name}: ${reason}\n`);
  }
  if (taking.size === 0) write('no plugins would start\n');
  return EXIT.OK;
}

async function inspect(config: GatewayConfig): Promise<{ registry: PluginRegistry; order: ResolvedOrder }> {
  const log = createSilentLogger();
  const registry = new PluginRegistry(log);
  const uninstall = installHostModule();
  try {
    const order = await loadPlugins({
      config,
      registry,
      createOwner: (identity) => ({ ...identity, ...UNCALLED }),
      guard: { ...UNGUARDED, ...createTierLoader({ config, log, containment: new Containment() }) },
      onHeld: () => undefined,
      onFailed: (record, error) => registry.transition(record, 'fail', toReason(error)),
    });
    return { registry, order };
  } finally {
    uninstall();
  }
}

/** Nothing is called on a plugin that is only looked at. */
const UNCALLED: Omit<Owner, 'name' | 'root'> = {
  callTimeoutMs: 0,
  counters: () => ({ calls: 0, failures: 0, timeouts: 0, skipped: 0, seconds: 0 }),
  fail: () => undefined,
};

function describe({ name, metadata, candidate, state, reason }: PluginRecord): string {
  const head = `${state.padEnd(9)} ${name} ${metadata?.version ?? '-'} (${candidate.specifier})\n`;
  return reason === null ? head : `${head}          ${reason.code}: ${reason.message}\n`;
}
