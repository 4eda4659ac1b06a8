import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

/** Counts calls and tokens by model. */
const plugin: Plugin = definePlugin({
  metadata: { name: 'usage-metrics', version: '1.0.0', capabilities: ['OBSERVABILITY_EXPORTER'] },
  startup(app, context) {
    const calls = context.metrics.counter('calls', { labelNames: ['model', 'status'] });
    const tokens = context.metrics.counter('tokens', { labelNames: ['model'] });
    app.exporter({
      name: 'usage-metrics',
      export(batch) {
        for (const { model, status, usage } of batch) {
          calls.inc({ model, status: String(status) });
          tokens.inc({ model }, usage?.totalTokens ?? 0);
        }
      },
    });
  },
});

export default plugin;
