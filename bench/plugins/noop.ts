import { basename } from 'node:path';
import { definePlugin, type Plugin, type PluginCapability } from 'routeiq-gateway/plugin';

const name = basename(import.meta.filename, '.ts');
const capabilities: PluginCapability[] = [
  'ROUTES',
  'MIDDLEWARE',
  'ROUTING_STRATEGY',
  'TOOL_RUNTIME',
  'EVALUATOR',
  'OBSERVABILITY_EXPORTER',
];

/** One of everything that has no part in a chat completion. An evaluator always has: it may register one, and does not. */
const plugin: Plugin = definePlugin({
  metadata: { name, version: '1.0.0', capabilities },
  startup(app) {
    app
      .get(`/${name}`, (_req, res) => {
        res.end();
      })
      .use(`/${name}`, (_req, _res, next) => next())
      .llm({})
      .routingStrategy(name, { select: (_request, [first]) => first })
      .toolRuntime({ listTools: () => [], callTool: () => ({ content: [] }) })
      .exporter({ name, export: () => undefined });
  },
});

export default plugin;
