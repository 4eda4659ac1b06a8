import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'webhooks', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app
      .get('/webhooks', (_req, res) => {
        res.json([]);
      })
      .get('/webhooks/:id', (req, res) => {
        res.json({ id: req.params.id });
      });
  },
});

export default plugin;
