import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startGateway } from '../../../test/support/gateway-process.ts';
import { admin, ask, createKey, PLUGIN, start, upstreamFor } from './support.ts';

describe('virtual keys', () => {
  it('open the gateway, and nothing else does', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const key = await createKey(gateway, { id: 'ci' });
    for (const headers of [{ authorization: `Bearer ${key}` }, { 'x-api-key': key }, { 'api-key': key }]) {
      assert.equal((await fetch(`${gateway.url}/v1/models`, { headers })).status, 200);
    }
    for (const headers of [{}, { authorization: `Bearer ${key}x` }, { authorization: `Basic ${key}` }]) {
      const response = await fetch(`${gateway.url}/v1/models`, {
        headers: headers as Record<string, string>,
      });
      assert.equal(response.status, 401);
      assert.equal(response.headers.get('www-authenticate'), 'Bearer');
    }
  });

  it('are shown once, and kept as digests', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const key = await createKey(gateway, { id: 'ci', name: 'Pipeline' });
    assert.match(key, /^sk-riq-[\w-]{43}$/);
    const { body } = await admin(gateway, 'GET');
    assert.deepEqual(
      body.keys.map(({ id, name, source }: Record<string, unknown>) => [id, name, source]),
      [['ci', 'Pipeline', 'api']],
    );
    const digest = createHash('sha256').update(key).digest('hex');
    const shown = JSON.stringify(body) + gateway.lines.join();
    assert.ok(!shown.includes(key) && !shown.includes(digest));
    await gateway.stop();
    const stored = readFileSync(join(gateway.dir, 'data/routeiq.db'), 'latin1');
    assert.ok(stored.includes(digest) && !stored.includes(key));
  });

  it('are limited to their models', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const key = await createKey(gateway, { models: ['unpriced'] });
    assert.equal((await ask(gateway, key, { model: 'unpriced' })).status, 200);
    const refused = await ask(gateway, key);
    assert.equal(refused.status, 403);
    assert.equal(refused.body.error.code, 'permission_error');
  });

  it('end when they expire, and when they are revoked', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const expired = await createKey(gateway, { expiresAt: new Date(Date.now() - 1000).toISOString() });
    assert.equal((await ask(gateway, expired)).status, 401);
    const key = await createKey(gateway, { id: 'ci' });
    assert.equal((await ask(gateway, key)).status, 200);
    assert.equal((await admin(gateway, 'DELETE', '/ci')).status, 204);
    assert.equal((await ask(gateway, key)).status, 401);
    assert.equal((await admin(gateway, 'DELETE', '/ci')).status, 404);
  });

  it('are replaced by rotation, the one before for a while beside the new one', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const first = await createKey(gateway, { id: 'ci', models: ['priced'] });
    const second = await admin(gateway, 'POST', '/ci/rotate', { graceSeconds: 60 });
    assert.equal(second.status, 200);
    assert.ok(Date.parse(second.body.previousKeyUntil) > Date.now());
    for (const key of [first, second.body.key]) assert.equal((await ask(gateway, key)).status, 200);
    const third = await admin(gateway, 'POST', '/ci/rotate', { graceSeconds: 0 });
    assert.equal((await ask(gateway, third.body.key)).status, 200);
    assert.equal((await ask(gateway, second.body.key)).status, 401);
    // A grace that was given is not taken back by the next rotation.
    assert.equal((await ask(gateway, first)).status, 200);
  });

  it('are made by operators alone', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const key = await createKey(gateway, { scopes: ['admin'] });
    const response = await fetch(`${gateway.url}/admin/auth-api-keys/keys`, {
      headers: { authorization: `Bearer ${key}` },
    });
    assert.equal(response.status, 401);
  });

  it('are refused with what is wrong about their terms', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ modles: [] }, /modles: .*expected one of name, models/],
      [{ id: 'a/b' }, /^id: got "a\/b"/],
      [{ models: 'gpt' }, /models: .*a list of names/],
      [{ rpm: -1 }, /rpm: got -1/],
      [{ budget: { usd: 1 } }, /budget: .*"period"/],
      [{ expiresAt: 'soon' }, /expiresAt: got "soon"/],
    ];
    for (const [terms, message] of cases) {
      const { status, body } = await admin(gateway, 'POST', '', terms);
      assert.equal(status, 400, JSON.stringify(terms));
      assert.match(body.error.message, message);
    }
    await createKey(gateway, { id: 'ci' });
    assert.equal((await admin(gateway, 'POST', '', { id: 'ci' })).status, 409);
  });

  it('can come from a file that has their hashes', async (t) => {
    const hash = `sha256:${createHash('sha256').update('a-static-key-of-the-team').digest('hex')}`;
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS: PLUGIN, LLMROUTER_ADMIN_KEY: 'admin-key-of-the-tests' },
      files: {
        'gateway.yaml': 'plugins: { auth-api-keys: { keys_file: ./keys.json } }\n',
        'keys.json': JSON.stringify({ keys: [{ id: 'team', hash, models: ['echo'], rpm: 1 }] }),
      },
    });
    const asked = (): Promise<{ status: number }> =>
      ask(gateway, 'a-static-key-of-the-team', { model: 'echo' });
    assert.equal((await asked()).status, 200);
    assert.equal((await asked()).status, 429);
    assert.equal((await ask(gateway, 'another', { model: 'echo' })).status, 401);
    assert.equal((await admin(gateway, 'DELETE', '/team')).status, 409);
  });

  it('from a file that is wrong keep everybody out', async (t) => {
    for (const keys of ['{"keys":[{"id":"a","hash":"in clear"}]}', 'no json']) {
      const gateway = await startGateway(t, {
        env: { LLMROUTER_PLUGINS: PLUGIN },
        files: {
          'gateway.yaml': 'plugins: { auth-api-keys: { keys_file: ./keys.json } }\n',
          'keys.json': keys,
        },
      });
      assert.equal((await ask(gateway, 'any', { model: 'echo' })).status, 503);
      assert.ok(gateway.lines.some((line) => line.includes('keys.json')));
    }
  });
});
