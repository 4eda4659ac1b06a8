import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'pages', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app
      .get('/pages', (_req, res) => {
        res.json([]);
      })
      .get('/pages/:id', (req, res) => {
        res.json({ id: req.params.id });
      });
  },
});

export default plugin;
