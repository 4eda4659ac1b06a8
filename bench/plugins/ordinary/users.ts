import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'users', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app
      .get('/users', (_req, res) => {
        res.json([]);
      })
      .get('/users/:id', (req, res) => {
        res.json({ id: req.params.id });
      });
  },
});

export default plugin;
