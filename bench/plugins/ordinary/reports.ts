import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'reports', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app
      .get('/reports', (_req, res) => {
        res.json([]);
      })
      .get('/reports/:id', (req, res) => {
        res.json({ id: req.params.id });
      });
  },
});

export default plugin;
