import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Said, says } from './answers.ts';
import { PICTURE, PIXEL, SCHEMA, type Scenario } from './clients.ts';
import { gateway, PAIRS, type Pair } from './pairs.ts';
import { ANSWERS, REFUSAL, SCENARIOS, unsigned } from './scenarios.ts';

const TOOL = { name: 'weather', description: 'The weather of a city' };

/** What each upstream is to get, whatever dialect the client speaks. */
const CHAT_REQUESTS: Readonly<Record<Scenario, object>> = {
  text: {
    max_tokens: 5000,
    temperature: 0.5,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi.' },
      { role: 'user', content: 'How are you?' },
    ],
  },
  tools: {
    max_tokens: 5000,
    messages: [
      { role: 'user', content: 'Weather in Oslo and Rome?' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'Rain' },
    ],
    tools: [{ type: 'function', function: { ...TOOL, parameters: SCHEMA } }],
    tool_choice: { type: 'function', function: { name: 'weather' } },
    parallel_tool_calls: false,
  },
  images: {
    max_tokens: 5000,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Compare' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } },
          { type: 'image_url', image_url: { url: PICTURE } },
        ],
      },
    ],
  },
  structured: {
    max_tokens: 5000,
    messages: [{ role: 'user', content: 'Where?' }],
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'response', schema: SCHEMA, strict: true },
    },
  },
  reasoning: {
    max_tokens: 5000,
    messages: [{ role: 'user', content: 'Think' }],
    reasoning_effort: 'medium',
  },
};

const ANTHROPIC_REQUESTS: Readonly<Record<Scenario, object>> = {
  text: {
    max_tokens: 5000,
    temperature: 0.5,
    system: [{ type: 'text', text: 'Be brief.' }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
      { role: 'assistant', content: [{ type: 'text', text: 'Hi.' }] },
      { role: 'user', content: [{ type: 'text', text: 'How are you?' }] },
    ],
  },
  tools: {
    max_tokens: 5000,
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Weather in Oslo and Rome?' }] },
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Oslo' } }],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'Rain' }] },
    ],
    tools: [{ ...TOOL, input_schema: SCHEMA }],
    tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
  },
  images: {
    max_tokens: 5000,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Compare' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } },
          { type: 'image', source: { type: 'url', url: PICTURE } },
        ],
      },
    ],
  },
  structured: {
    max_tokens: 5000,
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Where?' }] }],
    output_config: { format: { type: 'json_schema', schema: SCHEMA } },
  },
  reasoning: {
    max_tokens: 5000,
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Think' }] }],
    thinking: { type: 'enabled', budget_tokens: 3976 },
  },
};

for (const pair of PAIRS) {
  const { client, vendor, path, model } = pair;
  const requests = path === '/v1/messages' ? ANTHROPIC_REQUESTS : CHAT_REQUESTS;

  describe(`a client of ${client.name} at an upstream that speaks ${path}`, () => {
    for (const scenario of SCENARIOS) {
      const body = { ...client.bodies[scenario], model: 'the-model' };
      const expected = expectedOf(ANSWERS[scenario], pair);

      it(`gets ${scenario} in one piece`, async (t) => {
        const { url, upstream } = await gateway(t, pair, says(vendor, ANSWERS[scenario]));
        assert.deepEqual(await client.ask(url, body), expected);
        const [request] = upstream.requests;
        assert.equal(request?.path, path);
        assert.deepEqual(JSON.parse(String(request?.body)), { model, ...requests[scenario] });
      });

      it(`gets ${scenario} as a stream`, async (t) => {
        const { url, upstream } = await gateway(t, pair, says(vendor, ANSWERS[scenario]));
        assert.deepEqual(await client.stream(url, body), expected);
        const usage = path === '/v1/messages' ? {} : { stream_options: { include_usage: true } };
        assert.deepEqual(JSON.parse(String(upstream.requests[0]?.body)), {
          model,
          stream: true,
          ...usage,
          ...requests[scenario],
        });
      });
    }

    it('gets the same whole and streamed, whatever the model says', async (t) => {
      const { url, upstream } = await gateway(t, pair, says(vendor, REFUSAL));
      const body = { ...client.bodies.text, model: 'the-model' };
      await fc.assert(
        fc.asyncProperty(anySaid, async (said) => {
          upstream.answer(says(vendor, said));
          const expected = expectedOf(said, pair);
          assert.deepEqual(await client.ask(url, body), expected);
          assert.deepEqual(await client.stream(url, body), expected);
        }),
        { numRuns: 20 },
      );
    });

    it('gets a refusal of the model as what its dialect has for one', async (t) => {
      const { url } = await gateway(t, pair, says(vendor, REFUSAL));
      const body = { ...client.bodies.text, model: 'the-model' };
      assert.deepEqual(await client.ask(url, body), REFUSAL);
      assert.deepEqual(await client.stream(url, body), REFUSAL);
    });

    it('gets an answer in one piece from an upstream that streams all the same, and the other way round', async (t) => {
      const { url, upstream } = await gateway(t, pair, says(vendor, ANSWERS.tools));
      const body = { ...client.bodies.tools, model: 'the-model' };
      const expected = expectedOf(ANSWERS.tools, pair);
      upstream.answer(vendor.answer(ANSWERS.tools));
      assert.deepEqual(await client.stream(url, body), expected);
      upstream.answer((request, res, socket) => {
        const streaming = { ...request, body: Buffer.from('{"stream":true}') };
        return says(vendor, ANSWERS.tools)(streaming, res, socket);
      });
      assert.deepEqual(await client.ask(url, body), expected);
    });
  });
}

const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
const input = fc
  .dictionary(
    words.map((key) => `k${key}`),
    fc.jsonValue({ maxDepth: 1 }),
    { maxKeys: 3 },
  )
  .map((value) => JSON.stringify(JSON.parse(JSON.stringify(value))));

/** Reasoning, then a text, then calls: the order in which every dialect writes them. */
const anySaid: fc.Arbitrary<Said> = fc
  .record({
    reasoning: fc.option(words, { nil: undefined }),
    text: words,
    inputs: fc.array(input, { maxLength: 3 }),
    tokens: fc.nat(1000),
  })
  .map(({ reasoning, text, inputs, tokens }) => {
    const calls = inputs.map((each, index) => ({ id: `call_${index}`, name: `tool_${index}`, input: each }));
    return {
      ...(reasoning === undefined ? {} : { reasoning, signature: 'c2ln' }),
      text,
      ...(calls.length === 0 ? {} : { calls }),
      finish: calls.length === 0 ? 'stop' : 'tool-calls',
      usage: { input: tokens + 9, cached: tokens, output: 7 },
    };
  });

/** A signature comes from Anthropic alone. */
function expectedOf(said: Said, { provider }: Pair): Said {
  return provider === 'anthropic' ? said : unsigned(said);
}
