import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { GatewayProcess } from '../../../test/support/gateway-process.ts';
import { RedisServer, WITHOUT_REDIS } from '../../../test/support/redis-server.ts';
import {
  COMPLETION,
  cutStream,
  delta,
  event,
  json,
  type Script,
  stream,
  type Upstream,
} from '../../../test/support/upstream.ts';
import { createKey, PLUGIN, PRICE, spentBy, start, upstreamFor } from './support.ts';

/** What every round uses, of the ten tokens that are set aside for it. */
const USED = 7;
const ROUND_USD = USED * PRICE;
const USAGE = { prompt_tokens: 9, completion_tokens: USED, total_tokens: 9 + USED };

const TICK = `export default {
  metadata: { name: 'tick', version: '1.0.0', capabilities: ['TOOL_RUNTIME'] },
  startup(app) {
    app.toolRuntime({ listTools: () => [{ name: 'tick' }], callTool: () => 'tock' });
  },
};`;

/** Asks for the tool in the first round, and answers with `last` in the second. */
function twoRounds(last: Script): Script {
  return (request, res, socket) => {
    const isSecond = String(request.body).includes('"tock"');
    return (isSecond ? last : saying({ tool_calls: [CALL] }, 'tool_calls'))(request, res, socket);
  };
}

const CALL = { index: 0, id: 'call_0', type: 'function', function: { name: 'tick', arguments: '{}' } };
const DONE_ROUND = saying({ content: 'done' }, 'stop');

/** An answer as the request wants it, streamed or not. */
function saying(message: Record<string, unknown>, finish_reason: string): Script {
  const said = { role: 'assistant', ...message };
  const streamed = stream([
    event({ choices: [{ index: 0, delta: said, finish_reason: null }] }),
    event({ choices: [{ index: 0, delta: {}, finish_reason }] }),
    event({ choices: [], usage: USAGE }),
    'data: [DONE]\n\n',
  ]);
  const whole = json({ ...COMPLETION, choices: [{ index: 0, message: said, finish_reason }], usage: USAGE });
  return (request, res, socket) => {
    const wantsStream = JSON.parse(String(request.body)).stream === true;
    return (wantsStream ? streamed : whole)(request, res, socket);
  };
}

/** A gateway with a tool to run. */
function withTool(
  t: TestContext,
  upstream: Upstream,
  env: Readonly<Record<string, string>> = {},
): Promise<GatewayProcess> {
  return start(t, upstream, env, { 'plugins/tick.js': TICK });
}

/** Has the gateway run tools for one request; resolves to the status and the text of the answer. */
async function run(
  { url }: GatewayProcess,
  key: string,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'x-llmrouter-tools': 'auto',
    },
    body: JSON.stringify({
      model: 'priced',
      max_tokens: 10,
      messages: [{ role: 'user', content: 'Hello' }],
      ...fields,
    }),
  });
  return { status: response.status, text: await response.text() };
}

/** A hundred requests at once, half of them streamed; checks that what they have cost is within the budget. */
async function spendAtOnce(replicas: readonly GatewayProcess[], upstream: Upstream): Promise<void> {
  const [first] = replicas as [GatewayProcess];
  const key = await createKey(first, { id: 'ci', budget: { usd: 2, period: 'total' } });
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      run(replicas[index % replicas.length] ?? first, key, { stream: index % 4 < 2 }),
    ),
  );
  const rounds = upstream.requests.length;
  assert.ok(rounds > 0 && rounds * ROUND_USD <= 2, `${rounds} rounds were served`);
  const served = answers.filter(({ status, text }) => status === 200 && text.includes('done')).length;
  // The first round of the others, where they had one, is spent.
  assert.equal(answers.filter(({ status }) => status === 429).length, 100 - served);
  assert.equal(await spentBy(first, 'ci', rounds * ROUND_USD), rounds * ROUND_USD);
  // What was set aside and not used is there again: the rest can be spent to the last round that fits.
  while ((await run(first, key)).status === 200);
  const spent = upstream.requests.length * ROUND_USD;
  assert.equal(await spentBy(first, 'ci', spent), spent);
  assert.ok(spent <= 2 && spent > 2 - 10 * PRICE, `spent ${spent}`);
}

describe('a budget over the rounds in which the gateway runs tools', () => {
  it('holds for 100 requests at once', async (t) => {
    const upstream = await upstreamFor(t, twoRounds(DONE_ROUND));
    await spendAtOnce([await withTool(t, upstream)], upstream);
  });

  it('holds for 100 requests at once over two replicas', { skip: WITHOUT_REDIS }, async (t) => {
    const redis = await RedisServer.start();
    t.after(() => redis.stop());
    const upstream = await upstreamFor(t, twoRounds(DONE_ROUND));
    const env = {
      LLMROUTER_PLUGINS: `${PLUGIN},${join(PLUGIN, '../storage-redis')}`,
      LLMROUTER_PLUGIN_STORAGE_REDIS__URL: redis.url,
    };
    const replicas = await Promise.all([withTool(t, upstream, env), withTool(t, upstream, env)]);
    await spendAtOnce(replicas, upstream);
  });

  it('gets back what a round has not used that no upstream answered', async (t) => {
    const failing = json({ error: { message: 'down' } }, 500);
    const upstream = await upstreamFor(t, twoRounds(failing));
    const gateway = await withTool(t, upstream);
    for (const streamed of [false, true]) {
      const id = `streamed-${streamed}`;
      const key = await createKey(gateway, { id, budget: { usd: 1, period: 'day' } });
      assert.equal((await run(gateway, key, { stream: streamed })).status, 502);
      assert.equal(await spentBy(gateway, id, ROUND_USD), ROUND_USD);
    }
  });

  it('pays for all that was set aside for a round that broke, and for no other', async (t) => {
    const upstream = await upstreamFor(t, twoRounds(cutStream([delta('do')])));
    const gateway = await withTool(t, upstream);
    const key = await createKey(gateway, { id: 'ci', budget: { usd: 1, period: 'day' } });
    const { text } = await run(gateway, key, { stream: true });
    assert.ok(text.includes('"error"') && !text.includes('[DONE]'));
    const spent = ROUND_USD + 10 * PRICE;
    assert.equal(await spentBy(gateway, 'ci', spent), spent);
  });

  it('refuses the round that it cannot pay for, and tells the client', async (t) => {
    const upstream = await upstreamFor(t, twoRounds(DONE_ROUND));
    const gateway = await withTool(t, upstream);
    const key = await createKey(gateway, { id: 'ci', budget: { usd: 0.1, period: 'day' } });
    const { status, text } = await run(gateway, key);
    assert.deepEqual([status, JSON.parse(text).error.code], [429, 'rate_limit_exceeded']);
    assert.equal(upstream.requests.length, 1);
    assert.equal(await spentBy(gateway, 'ci', ROUND_USD), ROUND_USD);
  });
});
