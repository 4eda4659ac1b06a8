import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';

const plugin: Plugin = definePlugin({
  metadata: { name: 'arithmetic', version: '1.0.0', capabilities: ['TOOL_RUNTIME'] },
  startup(app) {
    app.toolRuntime({
      listTools: () => [{ name: 'arithmetic', description: 'A tool of the benchmark' }],
      callTool: () => ({ content: [{ type: 'text', text: '42' }] }),
    });
  },
});

export default plugin;
