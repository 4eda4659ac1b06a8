import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import winston from 'winston';
import { installHostModule } from '../../../src/discovery/host-module.ts';
import { toStorage } from '../../../src/storage/backend-storage.ts';
import { createCertificate } from '../../../test/support/certificates.ts';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';
import { RedisServer, WITHOUT_REDIS, WITHOUT_REDIS_TLS } from '../../../test/support/redis-server.ts';
import { testStorage } from '../../../test/support/storage-conformance.ts';
import type { RedisStore } from '../redis-store.ts';

installHostModule();
const { Connection } = await import('../connection.ts');
const { RedisStore: Store } = await import('../redis-store.ts');

describe('storage-redis', { skip: WITHOUT_REDIS }, () => {
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server.stop());

  const open = async (prefix = `${randomUUID()}*[`): Promise<RedisStore> => {
    const connection = new Connection({
      url: server.url,
      connectTimeoutMs: 2000,
      silenceTimeoutMs: 2000,
      log: winston.createLogger({ silent: true }),
    });
    await connection.open();
    return new Store(connection, prefix);
  };

  testStorage('storage-redis', async () => {
    const store = await open();
    return {
      storage: toStorage(store),
      advance: (ms) => sleep(ms),
      close: async () => store.close(),
    };
  });

  it('shares values between two connections with one prefix, and with no other', async (t) => {
    const prefix = `${randomUUID()}:`;
    const [one, two, other] = await Promise.all([open(prefix), open(prefix), open()]);
    t.after(() => {
      for (const store of [one, two, other]) store.close();
    });
    await one.set('k', 'mine');
    assert.equal(await two.get('k'), 'mine');
    assert.equal(await other.get('k'), undefined);
    assert.deepEqual(await other.list(), []);
  });

  it('counts fractions and large numbers as JavaScript does', async (t) => {
    const store = await open();
    t.after(() => store.close());
    await store.increment('n', 0.1);
    assert.equal(await store.increment('n', 0.2), 0.1 + 0.2);
    assert.equal(await store.compareAndSet('n', 0.1 + 0.2, Number.MAX_SAFE_INTEGER - 1), true);
    assert.equal(await store.increment('n'), Number.MAX_SAFE_INTEGER);
    assert.equal(await store.get('n'), Number.MAX_SAFE_INTEGER);
  });

  it('does not count a caller’s mistake as its own failure', async (t) => {
    const store = await open();
    t.after(() => store.close());
    await store.set('k', 'text');
    await assert.rejects(store.increment('k'), { status: 409 });
  });

  it('shares storage between gateways, and is back as soon as the server is', async (t) => {
    const env = {
      LLMROUTER_PLUGINS: PLUGIN,
      LLMROUTER_PLUGIN_STORAGE_REDIS__URL: server.url,
      LLMROUTER_PLUGIN_STORAGE_REDIS__KEY_PREFIX: randomUUID(),
      LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1',
    };
    const files = { 'plugins/hits.js': HITS };
    const one = await startGateway(t, { env, files });
    const two = await startGateway(t, { env, files });
    assert.deepEqual(await hit(one), { hits: 1 });
    assert.deepEqual(await hit(two), { hits: 2 });

    await server.pause();
    for (let n = 0; n < 3; n++) {
      const { error } = await hit(one);
      assert.equal((error as { code: string }).code, 'storage_unavailable');
    }
    assert.equal(await healthOf(one), 'unhealthy');
    const reconnected = [one, two].map((gateway) => {
      const seen = gateway.log.length;
      return gateway.logged(
        (line) => gateway.log.indexOf(line) >= seen && line.message === 'connected to the server',
      );
    });
    await server.resume();
    await Promise.all(reconnected);
    assert.deepEqual(await hit(one), { hits: 3 });
    assert.deepEqual(await hit(two), { hits: 4 });
    assert.equal(await healthOf(one), 'ok');
  });

  it('starts before its server does, says so, and keeps storage shut until then', async (t) => {
    const late = await RedisServer.start();
    t.after(() => late.stop());
    await late.pause();
    const gateway = await startGateway(t, {
      env: {
        LLMROUTER_PLUGINS: PLUGIN,
        LLMROUTER_PLUGIN_STORAGE_REDIS__URL: late.url.replace('//', '//:secret@'),
        LLMROUTER_PLUGIN_STORAGE_REDIS__CONNECT_TIMEOUT_MS: '100',
      },
      files: { 'plugins/hits.js': HITS },
    });
    assert.ok((await hit(gateway)).error);
    assert.ok(gateway.log.some(({ message }) => String(message).includes('could not be reached')));
    assert.ok(!gateway.lines.join().includes('secret'));
    assert.equal(await gateway.stop(), 0);
  });
});

describe('storage-redis over TLS', { skip: WITHOUT_REDIS_TLS }, () => {
  const start = async (
    t: TestContext,
    server: RedisServer,
    env: Readonly<Record<string, string>> = {},
  ): Promise<GatewayProcess> =>
    startGateway(t, {
      env: {
        LLMROUTER_PLUGINS: PLUGIN,
        LLMROUTER_PLUGIN_STORAGE_REDIS__URL: server.url,
        LLMROUTER_PLUGIN_STORAGE_REDIS__CONNECT_TIMEOUT_MS: '1000',
        ...env,
      },
      files: { 'plugins/hits.js': HITS },
    });
  const serve = async (
    t: TestContext,
    subject: string,
  ): Promise<{ readonly server: RedisServer; readonly trusting: Readonly<Record<string, string>> }> => {
    const certificate = createCertificate(subject);
    t.after(() => rmSync(dirname(certificate.ca), { recursive: true }));
    const server = await RedisServer.start(certificate);
    t.after(() => server.stop());
    return { server, trusting: { NODE_EXTRA_CA_CERTS: certificate.ca } };
  };
  const failureOf = ({ log }: GatewayProcess): unknown =>
    log.find(({ message }) => message === 'the connection to the server failed')?.cause;

  it('stores, and is back as soon as the server is', async (t) => {
    const { server, trusting } = await serve(t, 'IP:127.0.0.1');
    const gateway = await start(t, server, trusting);
    assert.deepEqual(await hit(gateway), { hits: 1 });
    await server.pause();
    assert.ok((await hit(gateway)).error);
    const seen = gateway.log.length;
    const back = gateway.logged(
      (line) => gateway.log.indexOf(line) >= seen && line.message === 'connected to the server',
    );
    await server.resume();
    await back;
    assert.deepEqual(await hit(gateway), { hits: 2 });
  });

  it('stores nothing at a server that nobody vouches for, and says why', async (t) => {
    const { server } = await serve(t, 'IP:127.0.0.1');
    const gateway = await start(t, server);
    assert.equal(((await hit(gateway)).error as { code: string }).code, 'storage_unavailable');
    assert.match(String(failureOf(gateway)), /certificate/);
  });

  it('stores nothing at a server with the certificate of another host', async (t) => {
    const { server, trusting } = await serve(t, 'DNS:elsewhere.example');
    const gateway = await start(t, server, trusting);
    assert.equal(((await hit(gateway)).error as { code: string }).code, 'storage_unavailable');
    assert.match(String(failureOf(gateway)), /127\.0\.0\.1/);
  });
});

const PLUGIN = join(import.meta.dirname, '..');

const HITS = `export default {
  metadata: { name: 'hits', capabilities: ['ROUTES'] },
  startup(app, { storage }) {
    app.get('/hits', async (req, res) => res.json({ hits: await storage.increment('hits') }));
  },
};`;

async function hit({ url }: GatewayProcess): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}/hits`);
  return (await response.json()) as Record<string, unknown>;
}

async function healthOf({ url }: GatewayProcess): Promise<unknown> {
  const response = await fetch(`${url}/readyz`);
  const { plugins } = (await response.json()) as { plugins: Record<string, { health: string }> };
  return plugins['storage-redis']?.health;
}
