import {
  GatewayPlugin,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { Accounts } from './accounts.ts';
import { registerAdminRoutes } from './admin-routes.ts';
import { credentialsOf } from './credentials.ts';
import { KeyRing } from './key-ring.ts';
import { readKeysFile } from './keys-file.ts';
import { toIdentity } from './virtual-key.ts';

/** Virtual keys with models, expiry, rate limits and budgets. See README.md. */
export default class AuthApiKeysPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'auth-api-keys',
    version: '1.0.0',
    capabilities: ['AUTH_PROVIDER', 'ROUTES'],
    priority: 100,
    description: 'Virtual keys with models, expiry, rate limits and budgets',
  };

  override async startup(app: PluginApp, { settings, storage, logger }: PluginContext): Promise<void> {
    if (!settings.get<boolean>('enabled')) return;
    const file = settings.get<string | undefined>('keys_file');
    const keys = new KeyRing({
      storage,
      staticKeys: file === undefined ? [] : await readKeysFile(file),
      cacheMs: settings.get<number>('cache_ms'),
      now: Date.now,
    });
    const accounts = new Accounts({
      storage,
      bytesPerToken: settings.get<number>('bytes_per_token'),
      assumedOutputTokens: settings.get<number>('assumed_output_tokens'),
      unpricedAreFree: settings.get<string>('unpriced_models') === 'free',
      now: Date.now,
    });
    app.authProvider({
      name: 'auth-api-keys',
      async authenticate(request) {
        for (const credential of credentialsOf(request)) {
          const key = await keys.find(credential);
          if (key !== null) return toIdentity(key);
        }
        return null;
      },
      reserve: (estimate) => accounts.reserve(estimate),
      settle: (ticket, outcome) => accounts.settle(ticket, outcome),
    });
    registerAdminRoutes(app, { keys, accounts, logger });
  }
}
