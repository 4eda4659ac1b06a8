import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { dataOf } from '../../../test/support/data-plane.ts';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';
import {
  COMPLETION,
  chatStream,
  json,
  startUpstream,
  stream,
  type Upstream,
} from '../../../test/support/upstream.ts';

const PLUGIN = join(import.meta.dirname, '..');

describe('guard-pii', () => {
  it('is inactive until it is configured', async (t) => {
    const { gateway, upstream } = await start(t, null);
    await ask(gateway, 'I am ada@example.com');
    assert.match(String(upstream.requests[0]?.body), /ada@example\.com/);
    const { plugins } = (await (await fetch(`${gateway.url}/readyz`)).json()) as { plugins: object };
    assert.deepEqual(plugins, { 'guard-pii': { state: 'inactive', health: null } });
  });

  it('masks prompts on their way to the upstream, and changes nothing else', async (t) => {
    const { gateway, upstream } = await start(t, { enabled: true });
    const response = await ask(gateway, 'Mail ada@example.com or call +1 415 555 2671', {
      seed: 7,
      tools: [],
    });
    assert.equal(response.status, 200);
    assert.deepEqual(JSON.parse(String(upstream.requests[0]?.body)), {
      model: 'm',
      messages: [{ role: 'user', content: 'Mail [EMAIL] or call [PHONE]' }],
      seed: 7,
      tools: [],
    });
  });

  it('masks answers, streamed or not', async (t) => {
    const { gateway, upstream } = await start(t, { enabled: true, replacement: '<{entity}>' });
    const said = 'Pay to DE89 3704 0044 0532 0130 00, from 10.0.0.1.';
    upstream.answer(json(saying(said)));
    const whole = (await (await ask(gateway, 'Hi')).json()) as ReturnType<typeof saying>;
    assert.equal(whole.choices[0]?.message.content, 'Pay to <IBAN>, from <IPV4>.');
    upstream.answer(stream(chatStream(said.match(/.{1,3}/g) ?? [])));
    const body = await (await ask(gateway, 'Hi', { stream: true })).text();
    assert.equal(textOf(body), 'Pay to <IBAN>, from <IPV4>.');
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    assert.match(metrics, /guard_pii_found\{entity="iban",direction="output",action="mask"\} 2/);
  });

  it('masks the middle of a long stream while it comes', async (t) => {
    const { gateway, upstream } = await start(t, { enabled: true, window: 64 });
    const filler = Array.from({ length: 100 }, (_, at) => `word ${at} `);
    const words = [...filler, 'ada@exam', 'ple.com', ' ', ...filler];
    upstream.answer(stream(chatStream(words)));
    const body = await (await ask(gateway, 'Hi', { stream: true })).text();
    assert.equal(textOf(body), words.join('').replace('ada@example.com', '[EMAIL]'));
  });

  it('blocks what it is told to block, in both directions, and does not repeat it', async (t) => {
    const { gateway, upstream } = await start(t, {
      enabled: true,
      entities: { credit_card: 'block', email: 'off' },
      patterns: [{ name: 'staff_number', pattern: 'EMP-\\d{6}', action: 'block' }],
    });
    for (const said of ['My card is 4111 1111 1111 1111', 'I am EMP-123456']) {
      const refused = await ask(gateway, said);
      assert.equal(refused.status, 400);
      const { error } = (await refused.json()) as { error: { code: string; message: string } };
      assert.equal(error.code, 'content_filter');
      assert.match(error.message, /^The request holds data of the kind "(credit_card|staff_number)"$/);
    }
    assert.equal(upstream.requests.length, 0);
    assert.equal((await ask(gateway, 'I am ada@example.com')).status, 200);
    upstream.answer(stream(chatStream(['It is 4111 1111', ' 1111 1111'])));
    const streamed = await ask(gateway, 'Hi', { stream: true });
    assert.equal(streamed.status, 400);
    assert.ok(!(await streamed.text()).includes('4111'));
  });

  it('leaves the other direction alone when it is told to', async (t) => {
    const { gateway, upstream } = await start(t, { enabled: true, directions: 'output' });
    upstream.answer(json(saying('Write to bob@example.com')));
    const answer = await (await ask(gateway, 'I am ada@example.com')).text();
    assert.match(String(upstream.requests[0]?.body), /ada@example\.com/);
    assert.match(answer, /Write to \[EMAIL\]/);
  });

  it('does not start with a pattern that could hold up the gateway', async (t) => {
    const { gateway } = await start(t, { enabled: true, patterns: [{ name: 'bad', pattern: '(a+)+$' }] });
    const failed = await gateway.logged(({ event, to }) => event === 'plugin_transition' && to === 'failed');
    assert.match(
      JSON.stringify(failed),
      /patterns: .*bad.* cannot be used: it has a quantifier without an upper bound/,
    );
  });
});

function saying(content: string) {
  return { ...COMPLETION, choices: [{ ...COMPLETION.choices[0], message: { role: 'assistant', content } }] };
}

function textOf(sse: string): string {
  return dataOf(sse)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data).choices[0]?.delta.content ?? '')
    .join('');
}

function ask(gateway: GatewayProcess, content: string, fields: object = {}): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content }], ...fields }),
  });
}

/** @param settings `null`: none at all */
async function start(
  t: TestContext,
  settings: object | null,
): Promise<{ readonly gateway: GatewayProcess; readonly upstream: Upstream }> {
  const upstream = await startUpstream();
  t.after(() => upstream.close());
  const config = {
    model_list: [
      { model_name: 'm', litellm_params: { model: 'openai/m', api_base: upstream.url, api_key: 'k' } },
    ],
    ...(settings === null ? {} : { plugins: { 'guard-pii': settings } }),
  };
  const gateway = await startGateway(t, {
    // YAML takes JSON as it is.
    files: { 'gateway.yaml': JSON.stringify(config) },
    env: { LLMROUTER_PLUGINS: PLUGIN },
  });
  return { gateway, upstream };
}
