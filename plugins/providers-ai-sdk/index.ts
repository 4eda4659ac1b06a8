import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';
import { loadFactory } from './factory.ts';
import { SdkProvider } from './sdk-provider.ts';
import { readProviders } from './settings.ts';

/** Registers each configured provider of the AI SDK; packages that the configuration does not name are not loaded. */
const plugin: Plugin = definePlugin({
  async startup(app, { settings, fetch, logger }) {
    const wanted = readProviders(settings.get('providers'));
    const loaded = await Promise.all(
      wanted.map(async (each) => ({ ...each, create: await loadFactory(each) })),
    );
    for (const { name, packageName, create, options } of loaded) {
      app.provider(name, new SdkProvider(create, options, fetch));
      logger.info('provider of the AI SDK registered', { provider: name, package: packageName });
    }
  },
});

export default plugin;
