import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startGateway } from '../../../test/support/gateway-process.ts';
import { RedisServer, WITHOUT_REDIS } from '../../../test/support/redis-server.ts';

const PLUGIN = join(import.meta.dirname, '..');
/** No window of this length ends while a test runs. */
const ENV = {
  LLMROUTER_PLUGINS: PLUGIN,
  LLMROUTER_PLUGIN_RATE_LIMIT__LIMIT: '2',
  LLMROUTER_PLUGIN_RATE_LIMIT__WINDOW_SECONDS: '86400',
};

/** Callers go by the key that they send. */
const NAMES = `export default {
  metadata: { name: 'names', capabilities: ['AUTH_PROVIDER'] },
  startup(app) {
    app.authProvider({ name: 'names', authenticate: (request) => ({ id: request.get('x-api-key') ?? 'nobody' }) });
  },
};`;

async function ask(url: string, caller: string, path = '/v1/models'): Promise<Response> {
  return fetch(url + path, { headers: { 'x-api-key': caller } });
}

describe('rate-limit', () => {
  it('limits each caller, and tells what is left', async (t) => {
    const { url } = await startGateway(t, { env: ENV, files: { 'plugins/names.js': NAMES } });
    const answers = [await ask(url, 'ada'), await ask(url, 'ada'), await ask(url, 'ada')] as const;
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 429],
    );
    assert.match(answers[0].headers.get('ratelimit') ?? '', /; r=1; t=\d+/);
    assert.match(answers[2].headers.get('retry-after') ?? '', /^\d+$/);
    const { error } = (await answers[2].json()) as { error: Record<string, unknown> };
    assert.equal(error.code, 'rate_limit_exceeded');
    assert.equal((await ask(url, 'bob')).status, 200);
  });

  it('limits addresses where nobody authenticates', async (t) => {
    const { url } = await startGateway(t, { env: ENV });
    const statuses = [];
    for (const caller of ['ada', 'bob', 'eve']) statuses.push((await ask(url, caller)).status);
    assert.deepEqual(statuses, [200, 200, 429]);
  });

  it('limits the paths that it is told to', async (t) => {
    const { url } = await startGateway(t, {
      env: { ...ENV, LLMROUTER_PLUGIN_RATE_LIMIT__PATHS: '["/v1/models/echo"]' },
    });
    for (let n = 0; n < 3; n++) assert.equal((await ask(url, 'ada')).status, 200);
    const statuses = [];
    for (let n = 0; n < 3; n++) statuses.push((await ask(url, 'ada', '/v1/models/echo')).status);
    assert.deepEqual(statuses, [200, 200, 429]);
  });

  it('counts over replicas, and refuses what it cannot count', { skip: WITHOUT_REDIS }, async (t) => {
    const redis = await RedisServer.start();
    t.after(() => redis.stop());
    const env = {
      ...ENV,
      LLMROUTER_PLUGINS: `${PLUGIN},${join(PLUGIN, '../storage-redis')}`,
      LLMROUTER_PLUGIN_STORAGE_REDIS__URL: redis.url,
    };
    const strict = await startGateway(t, { env });
    const lenient = await startGateway(t, {
      env: { ...env, LLMROUTER_PLUGIN_RATE_LIMIT__PASS_ON_STORE_ERROR: 'true' },
    });
    assert.equal((await ask(strict.url, 'ada')).status, 200);
    assert.equal((await ask(lenient.url, 'ada')).status, 200);
    assert.equal((await ask(strict.url, 'ada')).status, 429);
    await redis.pause();
    assert.equal((await ask(strict.url, 'ada')).status, 503);
    assert.equal((await ask(lenient.url, 'ada')).status, 200);
  });
});
