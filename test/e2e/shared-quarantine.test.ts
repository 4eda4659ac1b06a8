import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';
import { RedisServer, WITHOUT_REDIS } from '../support/redis-server.ts';
import { admin, inspectPlugin, outcome, pluginFile, transitionOf, WITH_ADMIN } from './support.ts';

const GUARD = pluginFile({
  metadata: { name: 'guard', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) {
    app.get('/guard', (_req, res) => void res.json({}));
  },
});

describe('replicas that share a store', { skip: WITHOUT_REDIS }, () => {
  it('share quarantines and releases', async (t) => {
    const redis = await RedisServer.start();
    t.after(() => redis.stop());
    const options = {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: join(import.meta.dirname, '../../plugins/storage-redis'),
        LLMROUTER_PLUGIN_STORAGE_REDIS__URL: redis.url,
      },
      files: { 'plugins/guard.js': GUARD },
    };
    const one = await startGateway(t, options);
    // One of them has its store in a process of its own: that it is shared has to cross.
    const two = await startGateway(t, {
      ...options,
      env: {
        ...options.env,
        LLMROUTER_PLUGINS_ISOLATION: 'storage-redis=process',
        LLMROUTER_PLUGINS_PERMISSIONS: 'storage-redis:net',
      },
    });
    const quarantined = two.logged(transitionOf('guard', 'quarantined'));
    await admin(one, '/plugins/guard/quarantine', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"cause":"it leaks"}',
    });
    await quarantined;
    const { quarantine } = await inspectPlugin(two, 'guard');
    assert.deepEqual([quarantine?.cause, quarantine?.until], ['it leaks', null]);

    const three = await startGateway(t, options);
    assert.equal((await outcome(fetch(`${three.url}/guard`))).status, 503);

    // It is stored in each replica too, so that a start without the store keeps to it.
    const released = [one, two, three].map((gateway) => {
      const seen = gateway.log.length;
      const isStart = transitionOf('guard', 'started');
      return gateway.logged((line) => isStart(line) && gateway.log.indexOf(line) >= seen);
    });
    assert.equal((await admin(two, '/plugins/guard/release', { method: 'POST' })).status, 200);
    await Promise.all(released);
    for (const { url } of [one, two, three]) assert.equal((await fetch(`${url}/guard`)).status, 200);
  });

  it('refuse a release that they cannot tell the others of', async (t) => {
    const redis = await RedisServer.start();
    t.after(() => redis.stop());
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: join(import.meta.dirname, '../../plugins/storage-redis'),
        LLMROUTER_PLUGIN_STORAGE_REDIS__URL: redis.url,
      },
      files: { 'plugins/guard.js': GUARD },
    });
    await redis.pause();
    for (const plugin of ['guard', 'storage-redis']) {
      assert.equal((await admin(gateway, `/plugins/${plugin}/quarantine`, { method: 'POST' })).status, 200);
    }
    const refused = await outcome(admin(gateway, '/plugins/guard/release', { method: 'POST' }));
    assert.deepEqual(refused, { status: 503, code: 'storage_unavailable' });
    // The plugin that brings the store does not need it.
    assert.equal((await admin(gateway, '/plugins/storage-redis/release', { method: 'POST' })).status, 200);
    await redis.resume();
  });
});
