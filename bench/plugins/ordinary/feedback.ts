import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'feedback', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app
      .get('/feedback', (_req, res) => {
        res.json([]);
      })
      .get('/feedback/:id', (req, res) => {
        res.json({ id: req.params.id });
      });
  },
});

export default plugin;
