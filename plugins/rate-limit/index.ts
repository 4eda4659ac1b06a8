import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import {
  GatewayError,
  GatewayPlugin,
  type Identity,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { SharedStore } from './shared-store.ts';

/** npm's `express-rate-limit`, counting in the gateway's store. See README.md. */
export default class RateLimitPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'rate-limit',
    version: '1.0.0',
    capabilities: ['MIDDLEWARE'],
    priority: 200,
    failClosed: true,
    description: 'Limits how many requests a caller may make in a while',
  };

  override startup(app: PluginApp, { settings, storage, logger }: PluginContext): void {
    const limiter = rateLimit({
      windowMs: settings.get<number>('window_seconds') * 1000,
      limit: settings.get<number>('limit'),
      passOnStoreError: settings.get<boolean>('pass_on_store_error'),
      standardHeaders: 'draft-8',
      legacyHeaders: false,
      store: new SharedStore(storage, Date.now),
      keyGenerator: (req) => callerOf(req),
      // The gateway answers: each API has its own shape of errors.
      handler: (_req, _res, next) =>
        next(new GatewayError('rate_limit_exceeded', 'Too many requests: try again later')),
      logger: {
        error: (error, message) => logger.error(message ?? 'express-rate-limit', { cause: String(error) }),
        warn: (error, message) => logger.warn(message ?? 'express-rate-limit', { cause: String(error) }),
      },
    });
    const paths = settings.get<readonly string[] | undefined>('paths');
    if (paths === undefined) app.use(limiter);
    else app.use(paths, limiter);
  }
}

/** Who is limited: the caller that an auth provider has found; without one the address, of IPv6 the network. */
function callerOf(req: { readonly ip?: string | undefined; readonly identity?: Identity | null }): string {
  const { identity } = req;
  return identity == null ? `ip:${ipKeyGenerator(req.ip ?? '')}` : `id:${identity.id}`;
}
