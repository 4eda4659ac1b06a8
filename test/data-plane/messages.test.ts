import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Secret } from '../../src/config/secret.ts';
import type { DeploymentConfig } from '../../src/config/types.ts';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { LlmRequest, LlmResponse } from '../../src/plugin-api/llm.ts';
import { dataOf, deployment, postTo, routing, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { anthropicMessage, anthropicStream, typed } from '../support/streams.ts';
import {
  cutStream,
  hangUp,
  json,
  type Script,
  startUpstream,
  stream,
  text,
  type Upstream,
} from '../support/upstream.ts';

const KEY = 'sk-ant-test-0123456789';
const ASK = '{"model":"claude","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}';
const ASK_STREAM = ASK.replace('{', '{"stream":true,');

/** A thought, words with a citation, and a tool call, as the API streams them. */
const RICH_STREAM = [
  typed('message_start', {
    message: anthropicMessage('', {
      content: [],
      stop_reason: null,
      usage: {
        input_tokens: 5,
        cache_read_input_tokens: 100,
        cache_creation_input_tokens: 20,
        output_tokens: 1,
      },
    }),
  }),
  ...block(0, { type: 'thinking', thinking: '', signature: '' }, [
    { type: 'thinking_delta', thinking: 'Let me ' },
    { type: 'thinking_delta', thinking: 'see' },
    { type: 'signature_delta', signature: 'sig=' },
  ]),
  ...block(1, { type: 'text', text: '' }, [
    { type: 'text_delta', text: 'The weather' },
    { type: 'citations_delta', citation: { type: 'char_location', cited_text: 'sunny' } },
  ]),
  ...block(2, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }, [
    { type: 'input_json_delta', partial_json: '' },
    { type: 'input_json_delta', partial_json: '{"city":"P' },
    { type: 'input_json_delta', partial_json: 'aris"}' },
  ]),
  typed('message_delta', {
    delta: { stop_reason: 'tool_use', stop_sequence: null },
    usage: { output_tokens: 40, input_tokens: null },
  }),
  typed('message_stop'),
];

const RICH = {
  content: [
    { type: 'thinking', thinking: 'Let me see', signature: 'sig=' },
    { type: 'text', text: 'The weather', citations: [{ type: 'char_location', cited_text: 'sunny' }] },
    { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Paris' } },
  ],
  stop_reason: 'tool_use',
  usage: {
    input_tokens: 5,
    cache_read_input_tokens: 100,
    cache_creation_input_tokens: 20,
    output_tokens: 40,
  },
};

const RICH_USAGE = {
  promptTokens: 125,
  completionTokens: 40,
  totalTokens: 165,
  cacheReadTokens: 100,
  cacheWriteTokens: 20,
};

const RICH_TEXT = 'Let me see\nThe weather\nsunny\n{"city":"Paris"}';

describe('POST /v1/messages', () => {
  it('passes request and answer through byte for byte, with the key of the deployment', async (t) => {
    const answer = '{ "type":"message", "content":[ {"type":"text","text":"Hi"} ], "x":1.0 }';
    const { url, upstream } = await gateway(t, text(answer, 200, 'application/json'));
    const response = await postTo(url, '/v1/messages?beta=true', `${ASK.slice(0, -1)}, "x_unknown": 1.0}`, {
      'x-api-key': 'key-of-the-client',
      authorization: 'Bearer key-of-the-client',
      'anthropic-beta': 'context-1m',
    });
    assert.equal(await response.text(), answer);
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'claude/0');
    const [request] = upstream.requests;
    assert.equal(request?.path, '/v1/messages');
    assert.equal(
      request?.body.toString(),
      `${ASK.slice(0, -1)}, "x_unknown": 1.0}`.replace('"claude"', '"claude-sonnet-4-5"'),
    );
    assert.equal(request?.headers['x-api-key'], KEY);
    assert.equal(request?.headers.authorization, undefined);
    assert.equal(request?.headers['anthropic-version'], '2023-06-01');
    assert.equal(request?.headers['anthropic-beta'], 'context-1m');
  });

  it("forwards the client's anthropic-version, unless the operator has set one", async (t) => {
    const { url, upstream } = await gateway(t, json(anthropicMessage('Hi')));
    await postTo(url, '/v1/messages', ASK, { 'anthropic-version': '2099-01-01' });
    assert.equal(upstream.requests[0]?.headers['anthropic-version'], '2099-01-01');
    const pinned = await gateway(t, json(anthropicMessage('Hi')), {
      deployment: { headers: { 'anthropic-version': '2024-02-02' } },
    });
    await postTo(pinned.url, '/v1/messages', ASK, { 'anthropic-version': '2099-01-01' });
    assert.equal(pinned.upstream.requests[0]?.headers['anthropic-version'], '2024-02-02');
  });

  it('finds the API below an api_base with and without its version', async (t) => {
    for (const [base, path] of [
      ['', '/v1/messages'],
      ['/v1', '/v1/messages'],
      ['/v1/messages', '/v1/messages'],
      ['/proxy/anthropic', '/proxy/anthropic/v1/messages'],
    ]) {
      const { url, upstream } = await gateway(t, json(anthropicMessage('Hi')), { base: base as string });
      assert.equal((await postTo(url, '/v1/messages', ASK)).status, 200);
      assert.equal(upstream.requests[0]?.path, path);
    }
  });

  it('counts tokens', async (t) => {
    const { url, upstream } = await gateway(t, text('{"input_tokens":14}', 200, 'application/json'));
    const response = await postTo(url, '/v1/messages/count_tokens', ASK);
    assert.equal(await response.text(), '{"input_tokens":14}');
    assert.equal(upstream.requests[0]?.path, '/v1/messages/count_tokens');
    const streamed = await postTo(url, '/v1/messages/count_tokens', ASK_STREAM);
    assert.deepEqual([streamed.status, await typeOf(streamed)], [400, 'invalid_request_error']);
  });

  it('is a clear 404 where the upstream has nothing like the surface', async (t) => {
    const { url, upstream } = await gateway(t);
    const completion = await postTo(url, '/v1/completions', ASK);
    assert.equal(completion.status, 404);
    assert.equal(((await completion.json()) as { error: { code: string } }).error.code, 'model_not_found');
    const { url: openai } = await serve(t, { deployments: [deployment(upstream.url, { group: 'claude' })] });
    const count = await postTo(openai, '/v1/messages/count_tokens', ASK);
    assert.equal(count.status, 404);
    const { type, error } = (await count.json()) as AnthropicError;
    assert.deepEqual([type, error.type, error.code], ['error', 'not_found_error', 'model_not_found']);
    assert.match(
      error.message,
      /"claude" does not serve \/v1\/messages\/count_tokens: .* does not count tokens/,
    );
    assert.equal(upstream.requests.length, 0);
  });

  it('has tokens counted by an upstream that can, and never for another model', async (t) => {
    const upstream = await startUpstream(text('{"input_tokens":14}', 200, 'application/json'));
    t.after(() => upstream.close());
    const openai = { group: 'claude', id: 'claude/0' };
    const anthropic = { group: 'claude', id: 'claude/1', provider: 'anthropic', model: 'claude-sonnet-4-5' };
    const mixed = [deployment(upstream.url, openai), deployment(upstream.url, anthropic)];
    const { url } = await serve(t, { deployments: mixed });
    for (let n = 0; n < 8; n++) {
      const response = await postTo(url, '/v1/messages/count_tokens', ASK);
      assert.equal(response.headers.get('x-llmrouter-deployment'), 'claude/1');
    }
    const other = { ...anthropic, group: 'other', id: 'other/0' };
    const { url: alone } = await serve(t, {
      deployments: [deployment(upstream.url, openai), deployment(upstream.url, other)],
      routing: routing({ fallbacks: [{ from: 'claude', to: ['other'] }] }),
    });
    assert.equal((await postTo(alone, '/v1/messages', ASK.replace('claude', 'other'))).status, 200);
    assert.equal((await postTo(alone, '/v1/messages/count_tokens', ASK)).status, 404);
  });
});

describe("errors in Anthropic's shape", () => {
  it('carry the type that the status has there, the code, and the request id', async (t) => {
    const { url, upstream } = await gateway(t);
    const missing = await postTo(url, '/v1/messages', ASK.replace('claude', 'nope'));
    assert.equal(missing.status, 404);
    assert.partialDeepStrictEqual(await missing.json(), {
      type: 'error',
      error: { type: 'not_found_error', code: 'model_not_found', param: 'model' },
      request_id: 'req-1',
    });
    const cases: [Script, number, string, string][] = [
      [
        failure(400, 'invalid_request_error', 'max_tokens: required'),
        400,
        'invalid_request_error',
        'max_tokens',
      ],
      [failure(404, 'not_found_error', 'model: claude-9'), 404, 'not_found_error', 'claude-9'],
      [failure(413, 'request_too_large', 'too large'), 413, 'request_too_large', 'too large'],
      [failure(429, 'rate_limit_error', 'slow down'), 429, 'rate_limit_error', 'slow down'],
      [failure(500, 'api_error', 'oops'), 502, 'api_error', 'oops'],
      [failure(529, 'overloaded_error', 'Overloaded'), 529, 'overloaded_error', 'Overloaded'],
      [failure(504, 'timeout_error', 'too slow'), 504, 'timeout_error', 'too slow'],
      [failure(401, 'authentication_error', KEY), 502, 'api_error', 'refused the gateway'],
      [failure(400, 'invalid_request_error', `bad key ${KEY}`), 400, 'invalid_request_error', 'bad key'],
      [hangUp, 502, 'api_error', 'could not be reached'],
    ];
    for (const [script, status, type, words] of cases) {
      upstream.answer(script);
      const response = await postTo(url, '/v1/messages', ASK_STREAM);
      const body = (await response.json()) as AnthropicError;
      assert.deepEqual([response.status, body.type, body.error.type], [status, 'error', type]);
      assert.ok(body.error.message.includes(words), body.error.message);
      assert.ok(!JSON.stringify(body).includes(KEY));
    }
  });

  it('say overloaded when no deployment is left', async (t) => {
    const { url } = await gateway(t, json({}, 500), { allowedFails: 0 });
    await postTo(url, '/v1/messages', ASK);
    const response = await postTo(url, '/v1/messages', ASK);
    assert.deepEqual([response.status, await typeOf(response)], [503, 'overloaded_error']);
  });
});

describe('a stream of /v1/messages', () => {
  it('that breaks off ends in an error event of its own shape, never in message_stop', async (t) => {
    const { url } = await gateway(t, cutStream(RICH_STREAM.slice(0, 6)));
    const body = await (await postTo(url, '/v1/messages', ASK_STREAM)).text();
    assert.ok(body.startsWith(RICH_STREAM.slice(0, 6).join('')));
    assert.ok(!body.includes('message_stop'));
    assert.match(body, /\nevent: error\ndata: \{"type":"error",/);
    assert.partialDeepStrictEqual(JSON.parse(dataOf(body).at(-1) ?? ''), {
      error: { type: 'api_error', code: 'upstream_error' },
      request_id: 'req-1',
    });
  });

  it("ends with the upstream's own error event", async (t) => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    const parts = [...RICH_STREAM.slice(0, 4), typed('error', { error })];
    const { url, upstream } = await gateway(t, stream([...parts, 'data: {"type":"ping"}\n\n']));
    assert.equal(await (await postTo(url, '/v1/messages', ASK_STREAM)).text(), parts.join(''));
    upstream.answer(stream(parts));
    const whole = await postTo(url, '/v1/messages', ASK);
    assert.equal(whole.status, 502);
    assert.match(await whole.text(), /Overloaded/);
  });

  it('that begins with an error is another attempt, as nothing has left', async (t) => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    const overloaded = stream([typed('error', { error })]);
    const { url } = await gateway(t, overloaded);
    const refused = await postTo(url, '/v1/messages', ASK_STREAM);
    assert.deepEqual([refused.status, await typeOf(refused)], [529, 'overloaded_error']);
    const retrying = await gateway(t, overloaded, { numRetries: 1 });
    retrying.upstream.answer(overloaded, stream(RICH_STREAM));
    const response = await postTo(retrying.url, '/v1/messages', ASK_STREAM);
    assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
    assert.equal(await response.text(), RICH_STREAM.join(''));
  });

  it('is put together with thoughts, citations and the input of tools', async (t) => {
    const seen: LlmResponse[] = [];
    const { url } = await gateway(t, stream(RICH_STREAM), {
      llm: { evaluateOutput: async (_request, response) => void seen.push(response) },
    });
    assert.equal(await (await postTo(url, '/v1/messages', ASK_STREAM)).text(), RICH_STREAM.join(''));
    assert.partialDeepStrictEqual(seen[0]?.body, RICH);
    assert.deepEqual([seen[0]?.text, seen[0]?.usage], [RICH_TEXT, RICH_USAGE]);
  });

  it('shows an input that was cut as the text that it is', async (t) => {
    const seen: string[] = [];
    const cut = RICH_STREAM.filter((event) => !event.includes('aris'));
    const { url } = await gateway(t, stream(cut), {
      llm: { evaluateOutput: async (_request, { text: said }) => void seen.push(said) },
    });
    await (await postTo(url, '/v1/messages', ASK_STREAM)).text();
    assert.deepEqual(seen, ['Let me see\nThe weather\nsunny\n{"city":"P']);
  });

  it('is made of a message in one piece, and makes the same message again', async (t) => {
    const whole = anthropicMessage('', RICH);
    const seen: LlmResponse[] = [];
    const { url } = await gateway(t, json(whole), {
      llm: { evaluateOutput: async (_request, response) => void seen.push(response) },
    });
    const body = await (await postTo(url, '/v1/messages', ASK_STREAM)).text();
    assert.deepEqual(seen[0]?.body, whole);
    assert.deepEqual(
      dataOf(body).map((data) => JSON.parse(data).type),
      [
        'message_start',
        ...['content_block_start', ...deltas(2), 'content_block_stop'],
        ...['content_block_start', ...deltas(2), 'content_block_stop'],
        ...['content_block_start', ...deltas(1), 'content_block_stop'],
        'message_delta',
        'message_stop',
      ],
    );
  });

  it('tells its usage to the record, what went through the cache included', async (t) => {
    for (const script of [stream(RICH_STREAM), stream([RICH_STREAM.join('')])]) {
      const records: CallRecord[] = [];
      const { url } = await gateway(t, script, { exporter: (record) => void records.push(record) });
      await (await postTo(url, '/v1/messages', ASK_STREAM)).text();
      assert.deepEqual([records[0]?.surface, records[0]?.usage], ['messages', RICH_USAGE]);
    }
    const records: CallRecord[] = [];
    const { url } = await gateway(t, json(anthropicMessage('', RICH)), {
      exporter: (record) => void records.push(record),
    });
    await postTo(url, '/v1/messages', ASK);
    assert.deepEqual(records[0]?.usage, RICH_USAGE);
  });
});

describe('hooks and evaluators on /v1/messages', () => {
  it('see the request, change it, and judge the whole answer before it leaves', async (t) => {
    const seen: LlmRequest[] = [];
    const { url, upstream } = await gateway(t, stream(anthropicStream(['one', ' two'])), {
      llm: {
        onRequest: async (request) => {
          seen.push(request);
          return { request: { ...request, body: { ...request.body, top_k: 5 } }, response: null };
        },
        evaluateOutput: async (_request, response) => {
          assert.equal(response.text, 'one two');
          throw Object.assign(new Error('refused'), { status: 400 });
        },
      },
    });
    const response = await postTo(url, '/v1/messages', ASK_STREAM);
    assert.deepEqual([response.status, await typeOf(response)], [400, 'invalid_request_error']);
    assert.deepEqual([seen[0]?.surface, seen[0]?.stream], ['messages', true]);
    assert.equal(JSON.parse(upstream.requests[0]?.body.toString() ?? '').top_k, 5);
  });
});

interface AnthropicError {
  readonly type: string;
  readonly error: { readonly type: string; readonly message: string; readonly code: string };
}

interface Setup {
  readonly llm?: Partial<LlmPhases>;
  readonly exporter?: (record: CallRecord) => void;
  readonly base?: string;
  readonly deployment?: Partial<DeploymentConfig>;
  readonly allowedFails?: number;
  readonly numRetries?: number;
}

async function gateway(
  t: TestContext,
  script: Script = json(anthropicMessage('Hi')),
  setup: Setup = {},
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const base = new URL(upstream.url).origin + (setup.base ?? '');
  const served = await serve(t, {
    deployments: [
      deployment(base, {
        group: 'claude',
        provider: 'anthropic',
        model: 'claude-sonnet-4-5',
        apiKey: new Secret(KEY),
        ...setup.deployment,
      }),
    ],
    routing: routing({ allowedFails: setup.allowedFails ?? 1000, numRetries: setup.numRetries ?? 0 }),
    pipeline: emptyPipeline({ llm: setup.llm ?? {}, export: setup.exporter ?? null }),
  });
  return { ...served, upstream };
}

async function typeOf(response: Response): Promise<string> {
  return ((await response.json()) as AnthropicError).error.type;
}

function failure(status: number, type: string, message: string): Script {
  return json({ type: 'error', error: { type, message }, request_id: 'req_upstream' }, status);
}

function block(index: number, start: object, parts: readonly object[]): string[] {
  return [
    typed('content_block_start', { index, content_block: start }),
    ...parts.map((delta) => typed('content_block_delta', { index, delta })),
    typed('content_block_stop', { index }),
  ];
}

function deltas(count: number): string[] {
  return Array.from({ length: count }, () => 'content_block_delta');
}
