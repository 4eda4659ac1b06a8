import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RedisServer, WITHOUT_REDIS } from '../../../test/support/redis-server.ts';
import {
  COMPLETION,
  chatStream,
  cutStream,
  delta,
  json,
  type Script,
  stream,
} from '../../../test/support/upstream.ts';
import { admin, ask, createKey, PLUGIN, PRICE, spentBy, start, upstreamFor } from './support.ts';

/** An answer of so many tokens. */
function answerOf(tokens: number): Script {
  const usage = { prompt_tokens: 9, completion_tokens: tokens, total_tokens: 9 + tokens };
  return json({ ...COMPLETION, usage });
}

describe('limits of a key', () => {
  it('count requests, and tell how many are left', async (t) => {
    const gateway = await start(t, await upstreamFor(t));
    const key = await createKey(gateway, { rpm: 2 });
    const answers = [await ask(gateway, key), await ask(gateway, key), await ask(gateway, key)];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 429],
    );
    assert.deepEqual(
      answers.map(({ headers }) => headers.get('x-ratelimit-remaining-requests')),
      ['1', '0', '0'],
    );
    const [, , refused] = answers;
    assert.equal(refused?.body.error.code, 'rate_limit_exceeded');
    assert.match(refused?.headers.get('retry-after') ?? '', /^\d+$/);
    assert.match(refused?.headers.get('x-ratelimit-reset-requests') ?? '', /^\d+s$/);
  });

  it('count tokens as they were used, not as they were estimated', async (t) => {
    const gateway = await start(t, await upstreamFor(t, answerOf(3)));
    const key = await createKey(gateway, { tpm: 300 });
    const first = await ask(gateway, key, { max_tokens: 200 });
    assert.equal(first.status, 200);
    assert.ok(Number(first.headers.get('x-ratelimit-remaining-tokens')) < 100);
    // With 200 tokens still set aside this one would not fit.
    await retried(() => ask(gateway, key, { max_tokens: 200 }), 200);
    assert.equal((await ask(gateway, key, { max_tokens: 400 })).status, 429);
  });

  it('count money as it was spent', async (t) => {
    const gateway = await start(t, await upstreamFor(t, answerOf(3)));
    const key = await createKey(gateway, { id: 'ci', budget: { usd: 0.2, period: 'total' } });
    assert.equal((await ask(gateway, key)).status, 200);
    assert.equal(await spentBy(gateway, 'ci', 3 * PRICE), 3 * PRICE);
    assert.equal((await ask(gateway, key, { max_tokens: 18 })).status, 429);
    assert.equal(await spentBy(gateway, 'ci', 3 * PRICE), 3 * PRICE);
    assert.equal((await ask(gateway, key, { max_tokens: 17 })).status, 200);
  });

  it('count all answers that a request asks for, and refuse one that says its limit twice', async (t) => {
    const gateway = await start(t, await upstreamFor(t, answerOf(3)));
    const key = await createKey(gateway, { budget: { usd: 0.2, period: 'day' } });
    assert.equal((await ask(gateway, key, { n: 3 })).status, 429);
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: '{"model":"priced","max_tokens":1000,"messages":[],"max_tokens":1}',
    });
    assert.equal(response.status, 400);
  });

  it('count the usage that a stream tells of, and all that was set aside when it tells none', async (t) => {
    const upstream = await upstreamFor(t, stream(chatStream(['a'])));
    const gateway = await start(t, upstream);
    const key = await createKey(gateway, { id: 'ci', budget: { usd: 1, period: 'month' } });
    assert.equal((await ask(gateway, key, { stream: true })).status, 200);
    assert.equal(await spentBy(gateway, 'ci', 0.03), 0.03);
    upstream.answer(stream(chatStream(['a']).filter((text) => !text.includes('usage'))));
    await ask(gateway, key, { stream: true });
    assert.equal(await spentBy(gateway, 'ci', 0.13), 0.13);
    upstream.answer(cutStream([delta('a')]));
    await ask(gateway, key, { stream: true });
    assert.equal(await spentBy(gateway, 'ci', 0.23), 0.23);
  });

  it('give back what was set aside for a call that no upstream answered', async (t) => {
    const gateway = await start(t, await upstreamFor(t, json({ error: { message: 'no' } }, 400)));
    const key = await createKey(gateway, { id: 'ci', budget: { usd: 0.1, period: 'week' } });
    for (let n = 0; n < 3; n++) {
      await retried(() => ask(gateway, key), 400);
    }
    assert.equal(await spentBy(gateway, 'ci', 0), 0);
  });

  it('refuse a model without a price to a key with a budget', async (t) => {
    const upstream = await upstreamFor(t);
    const gateway = await start(t, upstream);
    const key = await createKey(gateway, { budget: { usd: 1, period: 'day' } });
    assert.equal((await ask(gateway, key, { model: 'unpriced' })).status, 403);
    const lenient = await start(t, upstream, { LLMROUTER_PLUGIN_AUTH_API_KEYS__UNPRICED_MODELS: 'free' });
    const other = await createKey(lenient, { budget: { usd: 1, period: 'day' } });
    assert.equal((await ask(lenient, other, { model: 'unpriced' })).status, 200);
  });

  it('hold for 100 requests at once over two replicas', { skip: WITHOUT_REDIS }, async (t) => {
    const redis = await RedisServer.start();
    t.after(() => redis.stop());
    const upstream = await upstreamFor(t, answerOf(7));
    const env = {
      LLMROUTER_PLUGINS: `${PLUGIN},${join(PLUGIN, '../storage-redis')}`,
      LLMROUTER_PLUGIN_STORAGE_REDIS__URL: redis.url,
    };
    const replicas = await Promise.all([start(t, upstream, env), start(t, upstream, env)]);
    const [one, two] = replicas;
    const key = await createKey(one, { id: 'ci', budget: { usd: 2, period: 'total' } });
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(index % 2 === 0 ? one : two, key)),
    );
    const served = answers.filter(({ status }) => status === 200).length;
    assert.equal(answers.filter(({ status }) => status === 429).length, 100 - served);
    assert.equal(upstream.requests.length, served);
    assert.ok(served > 0 && served * 7 * PRICE <= 2, `${served} calls were served`);
    const spent = served * 7 * PRICE;
    assert.equal(await spentBy(two, 'ci', spent), spent);
    // What was set aside and not used is there again: the rest can be spent to the last call that fits.
    while ((await ask(one, key)).status === 200);
    await spentBy(one, 'ci', upstream.requests.length * 7 * PRICE);
    const { body } = await admin(two, 'GET', '/ci');
    assert.ok(body.spentUsd <= 2 && body.spentUsd > 2 - 10 * PRICE, `spent ${body.spentUsd}`);
  });
});

/** A call is settled when its answer is out already: the next one may come a moment too early. */
async function retried(call: () => Promise<{ status: number }>, expected: number): Promise<void> {
  let status = 0;
  for (let attempt = 0; attempt < 100 && status !== expected; attempt++) status = (await call()).status;
  assert.equal(status, expected);
}
