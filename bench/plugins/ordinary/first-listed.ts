import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'first-listed', version: '1.0.0', capabilities: ['ROUTING_STRATEGY'] },
  startup(app) {
    app.routingStrategy('first-listed', { select: (_request, candidates) => candidates[0] });
  },
});

export default plugin;
