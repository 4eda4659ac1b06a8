import {
  GatewayPlugin,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';

/** The quick start: one route. */
export default class HelloPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'hello',
    version: '1.0.0',
    capabilities: ['ROUTES'],
    description: 'Answers GET /hello',
  };

  override startup(app: PluginApp, { settings }: PluginContext): void {
    app.get('/hello', (_req, res) => {
      res.json({ message: settings.get('greeting') });
    });
  }
}
