import { definePlugin, type Plugin } from 'routeiq-gateway/plugin';
import { loadFactory } from './factory.ts';
import { SdkProvider } from './sdk-provider.ts';
import { readProviders } from './settings.ts';

/** Registers the providers of the AI SDK that the configuration names; packages of others are not loaded. */
const plugin: Plugin = definePlugin({
  async startup(app, { settings, models, fetch, logger }) {
    const inUse = models.list().flatMap(({ providers }) => providers);
    const wanted = readProviders(settings.get('providers', {}), inUse);
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
