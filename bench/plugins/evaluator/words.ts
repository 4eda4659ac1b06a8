import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

/** Reads every answer before it leaves. */
const plugin: Plugin = definePlugin({
  metadata: { name: 'words', version: '1.0.0', capabilities: ['EVALUATOR'] },
  startup(app) {
    app.evaluator({
      name: 'words',
      mode: 'block',
      output: (_request, { text }) => ({ action: text.includes('forbidden') ? 'block' : 'pass' }),
    });
  },
});

export default plugin;
