import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';

const PLUGIN = join(import.meta.dirname, '..');

/** An OpenID provider with one key at a time. */
class Issuer {
  readonly url: string;
  readonly asked: string[] = [];
  /** What its key set answers. */
  status = 200;
  #keys: JWK[] = [];
  #kid = '';
  #privateKey: CryptoKey | null = null;

  private constructor(url: string) {
    this.url = url;
  }

  static async start(t: TestContext): Promise<Issuer> {
    const server = createServer((req, res) => {
      issuer.asked.push(req.url ?? '');
      const body =
        req.url === '/keys' ? { keys: issuer.#keys } : { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` };
      res.writeHead(req.url === '/keys' ? issuer.status : 200, { 'content-type': 'application/json' });
      res.end(JSON.stringify(body));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    t.after(() => server.close());
    const issuer = new Issuer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await issuer.rotate();
    return issuer;
  }

  async rotate(): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    this.#kid = `key-${this.asked.length}-${Math.random()}`;
    this.#privateKey = privateKey;
    this.#keys = [{ ...(await exportJWK(publicKey)), kid: this.#kid, alg: 'ES256', use: 'sig' }];
  }

  async sign(claims: Record<string, unknown> = {}, lifeMs = 3_600_000): Promise<string> {
    assert.ok(this.#privateKey);
    const exp = Math.floor((Date.now() + lifeMs) / 1000);
    return new SignJWT({ iss: this.url, aud: 'gateway', sub: 'ada', exp, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: this.#kid })
      .sign(this.#privateKey);
  }

  get keys(): readonly JWK[] {
    return this.#keys;
  }
}

async function start(
  t: TestContext,
  issuer: Issuer,
  env: Record<string, string> = {},
): Promise<GatewayProcess> {
  return startGateway(t, {
    env: {
      LLMROUTER_PLUGINS: PLUGIN,
      LLMROUTER_PLUGIN_AUTH_JWT__ISSUER: issuer.url,
      LLMROUTER_PLUGIN_AUTH_JWT__AUDIENCE: '["gateway"]',
      LLMROUTER_OUTBOUND_CIDR_ALLOWLIST: '127.0.0.1/32',
      ...env,
    },
    files: { 'plugins/who.js': WHO },
  });
}

const WHO = `export default {
  metadata: { name: 'who', capabilities: ['ROUTES'] },
  startup(app) { app.get('/who', (req, res) => res.json(req.identity)); },
};`;

async function who({ url }: GatewayProcess, token: string): Promise<Response> {
  return fetch(`${url}/who`, { headers: { authorization: `Bearer ${token}` } });
}

describe('auth-jwt', () => {
  it('takes the caller from the claims of a token', async (t) => {
    const issuer = await Issuer.start(t);
    const gateway = await start(t, issuer, {
      LLMROUTER_PLUGIN_AUTH_JWT__MODELS_CLAIM: 'https://example.com/models',
      LLMROUTER_PLUGIN_AUTH_JWT__TOOLS_CLAIM: 'access.tools',
      LLMROUTER_PLUGIN_AUTH_JWT__SCOPES_CLAIM: 'scp',
    });
    const token = await issuer.sign({
      scp: 'chat admin',
      'https://example.com/models': ['echo'],
      access: { tools: ['search'] },
    });
    assert.deepEqual(await (await who(gateway, token)).json(), {
      id: 'ada',
      issuer: issuer.url,
      scopes: ['chat', 'admin'],
      models: ['echo'],
      tools: ['search'],
    });
    // The claims that limit are not in this one: it may use nothing.
    const bare = (await (await who(gateway, await issuer.sign())).json()) as Record<string, unknown>;
    assert.deepEqual([bare.models, bare.tools], [[], []]);
  });

  it('refuses tokens that are not good, and says why', async (t) => {
    const issuer = await Issuer.start(t);
    const gateway = await start(t, issuer);
    const other = await Issuer.start(t);
    const good = await issuer.sign();
    const secret = new TextEncoder().encode(JSON.stringify(issuer.keys[0]));
    const cases: [token: string, reason: RegExp][] = [
      [await issuer.sign({}, -10_000), /expired/],
      [await issuer.sign({ aud: 'others' }), /claim aud/],
      [await issuer.sign({ nbf: Math.floor(Date.now() / 1000) + 60 }), /claim nbf/],
      [`${good.slice(0, -6)}AAAAAA`, /signature/],
      [await other.sign({ iss: issuer.url }), /unknown key/],
      [new UnsecuredJWT({ iss: issuer.url, aud: 'gateway', sub: 'ada' }).encode(), /algorithm/],
      [
        await new SignJWT({ iss: issuer.url, aud: 'gateway', sub: 'ada' })
          .setProtectedHeader({ alg: 'HS256' })
          .setExpirationTime('1h')
          .sign(secret),
        /algorithm/,
      ],
    ];
    for (const [token, reason] of cases) {
      const response = await who(gateway, token);
      assert.equal(response.status, 401, String(reason));
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/);
      assert.match(await response.text(), reason);
    }
    assert.equal((await who(gateway, good)).status, 200);
  });

  it('wants tokens that end, and that name their caller', async (t) => {
    const issuer = await Issuer.start(t);
    const gateway = await start(t, issuer);
    for (const claims of [{ exp: undefined }, { sub: undefined }, { sub: 7 }]) {
      assert.equal((await who(gateway, await issuer.sign(claims))).status, 401);
    }
  });

  it('leaves what is no token of its issuer to the next provider', async (t) => {
    const issuer = await Issuer.start(t);
    const other = await Issuer.start(t);
    const gateway = await start(t, issuer);
    for (const token of ['sk-something', 'a.b.c', 'e30.e30.', await other.sign()]) {
      const response = await who(gateway, token);
      assert.equal(response.status, 401);
      assert.equal(response.headers.get('www-authenticate'), 'Bearer');
    }
    assert.deepEqual(issuer.asked, []);
  });

  it('finds a new key of the issuer by itself', async (t) => {
    const issuer = await Issuer.start(t);
    const gateway = await start(t, issuer, {
      LLMROUTER_PLUGIN_AUTH_JWT__JWKS_URI: `${issuer.url}/keys`,
      LLMROUTER_PLUGIN_AUTH_JWT__JWKS_COOLDOWN_SECONDS: '0',
    });
    const old = await issuer.sign();
    for (let n = 0; n < 2; n++) assert.equal((await who(gateway, old)).status, 200);
    await issuer.rotate();
    assert.equal((await who(gateway, await issuer.sign())).status, 200);
    assert.equal((await who(gateway, old)).status, 401);
    assert.deepEqual(issuer.asked, ['/keys', '/keys', '/keys']);
  });

  it('lets nobody in by a token while the keys cannot be had, and is back when they can', async (t) => {
    const issuer = await Issuer.start(t);
    const gateway = await start(t, issuer);
    const token = await issuer.sign();
    issuer.status = 500;
    assert.equal((await who(gateway, token)).status, 503);
    issuer.status = 200;
    assert.equal((await who(gateway, token)).status, 200);
  });

  it('does not start with an issuer that anybody on the way could speak for', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        LLMROUTER_PLUGINS: PLUGIN,
        LLMROUTER_PLUGIN_AUTH_JWT__ISSUER: 'http://login.example.com',
        LLMROUTER_PLUGIN_AUTH_JWT__AUDIENCE: '["gateway"]',
      },
    });
    assert.equal((await fetch(`${gateway.url}/v1/models`)).status, 503);
    assert.ok(gateway.lines.some((line) => line.includes('expected https')));
  });
});
