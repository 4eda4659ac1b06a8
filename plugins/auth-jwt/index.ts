import {
  GatewayPlugin,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { toIdentity } from './claims.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { TokenVerifier } from './token-verifier.ts';

/** Lets in whom an OpenID provider has given a token. See README.md. */
export default class AuthJwtPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'auth-jwt',
    version: '1.0.0',
    capabilities: ['AUTH_PROVIDER'],
    priority: 100,
    description: 'Lets in whom an OpenID provider has given a token',
  };

  override startup(app: PluginApp, { settings, fetch }: PluginContext): void {
    const issuer = settings.get<string>('issuer');
    const verifier = new TokenVerifier({
      keys: new IssuerKeys({
        issuer,
        jwksUri: settings.get<string | undefined>('jwks_uri'),
        cooldownMs: settings.get<number>('jwks_cooldown_seconds') * 1000,
        fetch,
      }),
      issuer,
      audience: settings.get<readonly string[]>('audience'),
      algorithms: settings.get<readonly string[]>('algorithms'),
      clockToleranceSeconds: settings.get<number>('clock_tolerance_seconds'),
    });
    const names = {
      id: settings.get<string>('id_claim'),
      scopes: settings.get<string>('scopes_claim'),
      models: settings.get<string | undefined>('models_claim'),
      tools: settings.get<string | undefined>('tools_claim'),
    };
    app.authProvider({
      name: 'auth-jwt',
      async authenticate(request) {
        const token = /^Bearer +([^ ]+) *$/i.exec(request.get('authorization') ?? '')?.[1];
        const claims = token === undefined ? null : await verifier.verify(token);
        return claims === null ? null : toIdentity(claims, names);
      },
    });
  }
}
