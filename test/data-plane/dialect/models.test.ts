import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import { deployment, postTo, serve } from '../../support/data-plane.ts';
import { emptyPipeline, providing } from '../../support/pipeline.ts';
import { startUpstream } from '../../support/upstream.ts';
import { ANTHROPIC_VENDOR, CHAT_VENDOR, type Said, says } from './answers.ts';
import {
  CHAT_CLIENT,
  MESSAGES_CLIENT,
  openai,
  PICTURE,
  PIXEL,
  RESPONSES_CLIENT,
  SCHEMA,
  type Scenario,
} from './clients.ts';
import { ANSWERS, SCENARIOS, unsigned } from './scenarios.ts';

const CLIENTS = [CHAT_CLIENT, RESPONSES_CLIENT, MESSAGES_CLIENT];

const PACKAGES = [
  {
    name: '@ai-sdk/anthropic',
    vendor: ANTHROPIC_VENDOR,
    make: (url: string) => createAnthropic({ baseURL: url, apiKey: 'k' })('claude-sonnet-4-5'),
    expected: (said: Said) => said,
  },
  {
    name: '@ai-sdk/openai',
    vendor: CHAT_VENDOR,
    make: (url: string) => createOpenAI({ baseURL: url, apiKey: 'k' }).chat('gpt-4o'),
    // Its models do not read the reasoning of compatible servers.
    expected: ({ reasoning: _reasoning, ...said }: Said) => unsigned(said),
  },
];

for (const { name, vendor, make, expected } of PACKAGES) {
  describe(`a model of ${name}`, () => {
    for (const client of CLIENTS) {
      for (const scenario of SCENARIOS) {
        // gpt-4o does not reason, and its package says so: the call is refused.
        if (name === '@ai-sdk/openai' && scenario === 'reasoning') continue;

        it(`gives a client of ${client.name} ${scenario}, whole and streamed`, async (t) => {
          const upstream = await startUpstream(says(vendor, ANSWERS[scenario]));
          t.after(() => upstream.close());
          const { url } = await gateway(t, make(upstream.url));
          const body = { ...client.bodies[scenario], model: 'the-model' };
          assert.deepEqual(await client.ask(url, body), expected(ANSWERS[scenario]));
          assert.deepEqual(await client.stream(url, body), expected(ANSWERS[scenario]));
        });
      }
    }
  });
}

describe('what a model is called with', () => {
  const TOOL_CALL = { type: 'tool-call', toolCallId: 'call_1', toolName: 'weather', input: { city: 'Oslo' } };
  const CALLS: Readonly<Record<Scenario, object>> = {
    text: {
      temperature: 0.5,
      prompt: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'Hi.' }] },
        { role: 'user', content: [{ type: 'text', text: 'How are you?' }] },
      ],
    },
    tools: {
      prompt: [
        { role: 'user', content: [{ type: 'text', text: 'Weather in Oslo and Rome?' }] },
        { role: 'assistant', content: [TOOL_CALL] },
        {
          role: 'tool',
          content: [
            {
              type: 'tool-result',
              toolCallId: 'call_1',
              toolName: 'weather',
              output: { type: 'text', value: 'Rain' },
            },
          ],
        },
      ],
      tools: [
        { type: 'function', name: 'weather', description: 'The weather of a city', inputSchema: SCHEMA },
      ],
      toolChoice: { type: 'tool', toolName: 'weather' },
      providerOptions: { openai: { parallelToolCalls: false } },
    },
    images: {
      prompt: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Compare' },
            { type: 'file', mediaType: 'image/png', data: { type: 'data', data: PIXEL } },
            { type: 'file', mediaType: 'image/*', data: { type: 'url', url: new URL(PICTURE) } },
          ],
        },
      ],
    },
    structured: {
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Where?' }] }],
      responseFormat: { type: 'json', name: 'response', schema: SCHEMA },
      providerOptions: { openai: { strictJsonSchema: true } },
    },
    reasoning: {
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Think' }] }],
      reasoning: 'medium',
    },
  };

  for (const client of CLIENTS) {
    it(`is the same for a client of ${client.name} as for any other`, async (t) => {
      for (const scenario of SCENARIOS) {
        const calls: LanguageModelV4CallOptions[] = [];
        const { url } = await gateway(t, speaking([], { calls, provider: 'openai.chat' }));
        await client.ask(url, { ...client.bodies[scenario], model: 'the-model' });
        const [{ abortSignal, ...options } = {}] = calls;
        assert.ok(abortSignal instanceof AbortSignal);
        assert.deepEqual(options, { maxOutputTokens: 5000, ...CALLS[scenario] });
      }
    });
  }
});

describe('a request that a model cannot carry', () => {
  it('is refused by the name of the field when the model says that it passes over a setting', async (t) => {
    const warnings = [{ type: 'unsupported', feature: 'topK' }] as const;
    const { url } = await gateway(t, speaking([], { warnings: [...warnings] }));
    for (const stream of [false, true]) {
      const body = { model: 'the-model', max_tokens: 9, top_k: 3, stream, messages: HELLO };
      const response = await postTo(url, '/v1/messages', JSON.stringify(body));
      assert.deepEqual([response.status, await paramOf(response)], [400, 'top_k']);
    }
  });

  it('is refused when its setting has no word in the package', async (t) => {
    const { url } = await gateway(t, speaking([], { provider: 'google.generative-ai' }));
    for (const [field, value] of [
      ['parallel_tool_calls', false],
      ['verbosity', 'low'],
    ] as const) {
      const body = JSON.stringify({ model: 'the-model', messages: HELLO, [field]: value });
      const response = await postTo(url, '/v1/chat/completions', body);
      assert.deepEqual([response.status, await paramOf(response)], [400, field]);
    }
  });

  it('is refused when somebody would have to fetch its files first', async (t) => {
    const { url } = await gateway(t, speaking([], { supportedUrls: {} }));
    const body = { ...CHAT_CLIENT.bodies.images, model: 'the-model' };
    const response = await postTo(url, '/v1/chat/completions', JSON.stringify(body));
    assert.deepEqual([response.status, await paramOf(response)], [400, 'messages']);
  });
});

describe('the stream of a model', () => {
  it('becomes one block after the other, whatever it mixes', async (t) => {
    const parts: LanguageModelV4StreamPart[] = [
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: 'one' },
      { type: 'tool-input-start', id: 'a', toolName: 'f' },
      { type: 'tool-input-delta', id: 'a', delta: '{"x"' },
      { type: 'text-delta', id: 't', delta: ' two' },
      { type: 'tool-input-start', id: 'b', toolName: 'g' },
      { type: 'tool-input-delta', id: 'b', delta: '{}' },
      { type: 'tool-input-delta', id: 'a', delta: ':1}' },
      { type: 'tool-input-end', id: 'a' },
      { type: 'tool-call', toolCallId: 'a', toolName: 'f', input: '{"x":1}' },
      { type: 'text-end', id: 't' },
      { type: 'tool-input-end', id: 'b' },
      { type: 'tool-call', toolCallId: 'b', toolName: 'g', input: '{}' },
      { type: 'tool-call', toolCallId: 'c', toolName: 'h', input: '{"y":2}' },
    ];
    const calls = [
      { id: 'a', name: 'f', input: '{"x":1}' },
      { id: 'b', name: 'g', input: '{}' },
      { id: 'c', name: 'h', input: '{"y":2}' },
    ];
    const { url } = await gateway(t, speaking(parts, { finish: 'tool-calls' }));
    for (const client of CLIENTS) {
      const said = await client.stream(url, { ...client.bodies.text, model: 'the-model' });
      assert.deepEqual(said.calls, calls);
      assert.equal(said.text, client === MESSAGES_CLIENT ? 'one' : 'one two');
    }
  });

  it('that breaks ends in an error event; before its first event it is a failure like any other', async (t) => {
    const text: LanguageModelV4StreamPart[] = [
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: 'one' },
    ];
    const error: LanguageModelV4StreamPart = { type: 'error', error: new Error('secret words') };
    for (const parts of [[...text, error], text]) {
      const { url } = await gateway(t, speaking(parts, { finish: null }));
      const body = JSON.stringify({ model: 'the-model', stream: true, messages: HELLO });
      const answer = await (await postTo(url, '/v1/chat/completions', body)).text();
      assert.match(answer, /"one"/);
      assert.match(answer, /"code":"upstream_error"/);
      assert.doesNotMatch(answer, /secret|\[DONE\]/);
      const early = await gateway(t, speaking([error], { finish: null }));
      assert.equal((await postTo(early.url, '/v1/chat/completions', body)).status, 502);
    }
  });

  it('that begins with an error of the SDK is judged by its status', async (t) => {
    const error = new APICallError({
      message: 'slow down',
      url: 'x',
      requestBodyValues: {},
      statusCode: 429,
    });
    const { url } = await gateway(t, speaking([{ type: 'error', error }]));
    const body = JSON.stringify({ model: 'the-model', stream: true, messages: HELLO });
    assert.equal((await postTo(url, '/v1/chat/completions', body)).status, 429);
  });

  it('that has what no dialect has is a failure', async (t) => {
    const file = { type: 'file', mediaType: 'image/png', data: { type: 'data', data: PIXEL } } as const;
    const { url } = await gateway(t, speaking([file]));
    for (const stream of [false, true]) {
      const body = JSON.stringify({ model: 'the-model', stream, messages: HELLO });
      const response = await postTo(url, '/v1/chat/completions', body);
      assert.equal(response.status, 502);
      assert.match(await response.text(), /file.*, which cannot be carried/);
    }
  });

  it('is aborted when the client goes', async (t) => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const model = speaking([], { finish: null });
    const { url } = await gateway(t, {
      ...model,
      doStream: async ({ abortSignal }) => {
        abortSignal?.addEventListener('abort', () => resolve());
        return {
          stream: new ReadableStream({
            start(controller) {
              controller.enqueue({ type: 'text-start', id: 't' });
              controller.enqueue({ type: 'text-delta', id: 't', delta: 'one' });
            },
          }),
        };
      },
    });
    const stream = await openai(url).chat.completions.create({
      model: 'the-model',
      stream: true,
      messages: [{ role: 'user', content: 'Hello' }],
    });
    for await (const _chunk of stream) break;
    stream.controller.abort();
    await aborted;
  });
});

const HELLO = [{ role: 'user', content: 'Hello' }];

interface Speaking {
  readonly provider?: string;
  readonly calls?: LanguageModelV4CallOptions[];
  readonly warnings?: Extract<LanguageModelV4StreamPart, { type: 'stream-start' }>['warnings'];
  readonly supportedUrls?: Record<string, RegExp[]>;
  /** `null`: its streams just end. */
  readonly finish?: 'stop' | 'tool-calls' | null;
}

/** A model that streams `parts`; asked for a whole answer it gives those that stand in one. */
function speaking(
  parts: readonly LanguageModelV4StreamPart[],
  {
    provider = 'test',
    calls = [],
    warnings = [],
    supportedUrls = { 'image/*': [/^https:/] },
    finish = 'stop',
  }: Speaking = {},
): LanguageModelV4 {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 1, text: 1, reasoning: undefined },
  };
  const finishReason = { unified: finish ?? 'stop', raw: undefined };
  return {
    specificationVersion: 'v4',
    provider,
    modelId: 'm',
    supportedUrls,
    async doGenerate(options) {
      calls.push(options);
      const content = parts.filter((part) => part.type === 'tool-call' || part.type === 'file');
      return { content, finishReason, usage, warnings };
    },
    async doStream(options) {
      calls.push(options);
      const end: LanguageModelV4StreamPart[] =
        finish === null ? [] : [{ type: 'finish', finishReason, usage }];
      return { stream: ReadableStream.from([{ type: 'stream-start', warnings }, ...parts, ...end]) };
    },
  };
}

async function paramOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { error: { param?: string } }).error.param;
}

async function gateway(t: TestContext, model: LanguageModelV4): Promise<{ url: string }> {
  const provider = providing({ languageModel: async () => model });
  return serve(t, {
    deployments: [deployment(null, { group: 'the-model', provider: 'acme' })],
    pipeline: emptyPipeline({ providers: new Map([['acme', provider]]) }),
  });
}
