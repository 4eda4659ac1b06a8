import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

/** Runs in front of every request. */
const plugin: Plugin = definePlugin({
  metadata: { name: 'stamp', version: '1.0.0', capabilities: ['MIDDLEWARE'] },
  startup(app) {
    app.use((_req, res, next) => {
      res.setHeader('x-stamp', 'seen');
      next();
    });
  },
});

export default plugin;
