import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';
import {
  COMPLETION,
  chatStream,
  cutStream,
  delta,
  json,
  type Script,
  startUpstream,
  stream,
  type Upstream,
} from '../../../test/support/upstream.ts';

const NAMES = `export default {
  metadata: { name: 'names', capabilities: ['AUTH_PROVIDER'] },
  startup(app) {
    app.authProvider({ name: 'names', authenticate: (request) => ({ id: request.get('x-api-key') ?? 'nobody' }) });
  },
};`;

interface Running {
  readonly gateway: GatewayProcess;
  readonly upstream: Upstream;
}

async function start(t: TestContext, script: Script, env: Record<string, string> = {}): Promise<Running> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const gateway = await startGateway(t, {
    env: {
      LLMROUTER_PLUGINS: join(import.meta.dirname, '..'),
      LLMROUTER_PLUGIN_CACHE__TTL_SECONDS: '3600',
      ...env,
    },
    files: {
      'plugins/names.js': NAMES,
      'gateway.yaml': `
model_list:
  - model_name: m
    litellm_params: { model: openai/gpt-4o, api_key: k, api_base: '${upstream.url}' }
router_settings: { num_retries: 0 }
`,
    },
  });
  return { gateway, upstream };
}

interface Answer {
  readonly status: number;
  readonly cache: string | null;
  readonly text: string;
}

async function ask(
  { gateway }: Running,
  fields: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': 'ada', ...headers },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hello' }], ...fields }),
  });
  return { status: response.status, cache: response.headers.get('x-cache'), text: await response.text() };
}

describe('cache', () => {
  it('answers the same request again without asking the upstream', async (t) => {
    const running = await start(t, json(COMPLETION));
    const first = await ask(running, { temperature: 0, seed: 1 });
    const second = await ask(running, { seed: 1, temperature: 0 });
    assert.deepEqual([first.cache, second.cache], ['miss', 'hit']);
    assert.deepEqual(JSON.parse(second.text), JSON.parse(first.text));
    assert.equal((await ask(running, { temperature: 1, seed: 1 })).cache, 'miss');
    assert.equal(running.upstream.requests.length, 2);
  });

  it('replays a stream as a stream', async (t) => {
    const running = await start(t, stream(chatStream(['Hello ', 'you'])));
    const fields = { stream: true, stream_options: { include_usage: true } };
    await ask(running, fields);
    const { cache, text } = await ask(running, fields);
    assert.equal(cache, 'hit');
    const events = text.trim().split('\n\n');
    assert.equal(events.pop(), 'data: [DONE]');
    const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)));
    const said = chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta.content ?? '');
    assert.equal(said.join(''), 'Hello you');
    assert.equal(chunks.at(-1).usage.total_tokens, 12);
    // A replay must not be kept as if it were new.
    assert.equal((await ask(running, fields)).cache, 'hit');
    assert.equal(running.upstream.requests.length, 1);
  });

  it('keeps callers apart, unless it is told that they may share', async (t) => {
    const apart = await start(t, json(COMPLETION));
    await ask(apart, {}, { 'x-api-key': 'ada' });
    assert.equal((await ask(apart, {}, { 'x-api-key': 'bob' })).cache, 'miss');
    const shared = await start(t, json(COMPLETION), { LLMROUTER_PLUGIN_CACHE__SHARED: 'true' });
    await ask(shared, {}, { 'x-api-key': 'ada' });
    assert.equal((await ask(shared, {}, { 'x-api-key': 'bob' })).cache, 'hit');
  });

  it('does as the client’s Cache-Control says', async (t) => {
    const running = await start(t, json(COMPLETION));
    for (let n = 0; n < 2; n++) {
      assert.equal((await ask(running, {}, { 'cache-control': 'no-store' })).cache, null);
    }
    assert.equal((await ask(running)).cache, 'miss');
    assert.equal((await ask(running, {}, { 'cache-control': 'no-cache' })).cache, null);
    assert.equal((await ask(running)).cache, 'hit');
    assert.equal(running.upstream.requests.length, 4);
  });

  it('keeps no answer that failed, broke off or was cut', async (t) => {
    const [choice] = COMPLETION.choices;
    const cut = { ...COMPLETION, choices: [{ ...choice, finish_reason: 'length' }] };
    const cases: [Script, Record<string, unknown>][] = [
      [json({ error: { message: 'no' } }, 400), {}],
      [json(cut), {}],
      [json({ ...COMPLETION, choices: [] }), {}],
      [cutStream([delta('a')]), { stream: true }],
    ];
    const running = await start(t, json(COMPLETION));
    for (const [script, fields] of cases) {
      running.upstream.answer(script);
      const before = running.upstream.requests.length;
      for (let n = 0; n < 2; n++) await ask(running, { user: String(before), ...fields });
      assert.equal(running.upstream.requests.length, before + 2);
    }
  });

  it('keeps no more than it may', async (t) => {
    const running = await start(t, json(COMPLETION), { LLMROUTER_PLUGIN_CACHE__MAX_ENTRIES: '1' });
    await ask(running);
    assert.equal((await ask(running)).cache, 'hit');
    await ask(running, { user: 'another' });
    assert.equal((await ask(running)).cache, 'miss');
    const small = await start(t, json(COMPLETION), { LLMROUTER_PLUGIN_CACHE__MAX_ENTRY_BYTES: '100' });
    await ask(small);
    assert.equal((await ask(small)).cache, 'miss');
  });

  it('forgets an answer when its time is over', async (t) => {
    const running = await start(t, json(COMPLETION), { LLMROUTER_PLUGIN_CACHE__TTL_SECONDS: '1' });
    await ask(running);
    while ((await ask(running)).cache === 'hit');
    assert.equal(running.upstream.requests.length, 2);
  });
});
