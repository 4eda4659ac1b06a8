import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';
import { ConsistentHash } from './consistent-hash.ts';
import { costBased } from './cost-based.ts';
import { LatencyBased } from './latency-based.ts';
import { leastBusy } from './least-busy.ts';
import { priority } from './priority.ts';
import { RoundRobin } from './round-robin.ts';
import { UsageBased } from './usage-based.ts';
import { UsageCounts } from './usage-counts.ts';

/** Registers all strategies; `router_settings.routing_strategy` says which one is used. */
const plugin: Plugin = definePlugin({
  startup(app, { settings, storage, logger }) {
    const clock = Date.now;
    const shared = settings.get<boolean>('sharedUsage')
      ? { storage, syncMs: settings.get<number>('sharedUsageSyncMs') }
      : null;
    const usage = new UsageBased(new UsageCounts({ clock, shared, logger }), Math.random);
    app
      .routingStrategy('round-robin', new RoundRobin())
      .routingStrategy('least-busy', leastBusy(Math.random))
      .routingStrategy(
        'latency-based-routing',
        new LatencyBased({
          margin: settings.get('latencyMargin'),
          ttlMs: settings.get('latencyTtlMs'),
          clock,
          random: Math.random,
        }),
      )
      .routingStrategy('cost-based-routing', costBased(Math.random))
      .routingStrategy('usage-based-routing', usage)
      .routingStrategy('usage-based-routing-v2', usage)
      .routingStrategy('priority', priority(Math.random))
      .routingStrategy('consistent-hash', new ConsistentHash(settings.get('hashLoadFactor')));
  },
});

export default plugin;
