import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { LlmRequest } from '../../../src/plugin-api/llm.ts';
import { deployment, postTo, serve } from '../../support/data-plane.ts';
import { emptyPipeline, providing } from '../../support/pipeline.ts';
import { json, type UpstreamRequest } from '../../support/upstream.ts';
import { ANTHROPIC_VENDOR, CHAT_VENDOR, type Said, says } from './answers.ts';
import { anthropic, CHAT_CLIENT, MESSAGES_CLIENT, openai, RESPONSES_CLIENT } from './clients.ts';
import { gateway, PAIRS, type Pair } from './pairs.ts';

const USAGE = { input: 1, cached: 0, output: 1 };

const THOUGHT: Said = {
  reasoning: 'Look it up.',
  signature: 'c2ln',
  calls: [{ id: 'toolu_1', name: 'weather', input: '{"city":"Oslo"}' }],
  finish: 'tool-calls',
  usage: USAGE,
};

const HELLO: Said = { text: 'Hi', finish: 'stop', usage: USAGE };

const THINKING_TURN = [
  { type: 'thinking', thinking: 'Look it up.', signature: 'c2ln' },
  { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } },
];

describe('the reasoning of an earlier turn', () => {
  it('goes back to Anthropic with what a chat client gives back', async (t) => {
    for (const streaming of [false, true]) {
      const { url, upstream } = await gateway(t, pairOf('chat'), says(ANTHROPIC_VENDOR, THOUGHT));
      const asked = { model: 'the-model', reasoning_effort: 'low', max_tokens: 9000 } as const;
      const first = { ...asked, messages: [ASK] };
      const { completions } = openai(url).chat;
      const { choices } = streaming
        ? await completions.stream(first).finalChatCompletion()
        : await completions.create(first);
      const message = choices[0]?.message as never;
      const result = { role: 'tool', tool_call_id: 'toolu_1', content: 'Rain' } as const;
      upstream.answer(says(ANTHROPIC_VENDOR, HELLO));
      await completions.create({ ...first, messages: [ASK, message, result] });
      assertTurn(upstream.requests.at(-1));
    }
  });

  it('goes back to Anthropic with what a client of responses gives back', async (t) => {
    const { url, upstream } = await gateway(t, pairOf('responses'), says(ANTHROPIC_VENDOR, THOUGHT));
    const first = { model: 'the-model', reasoning: { effort: 'low' }, max_output_tokens: 9000 } as const;
    const { output } = await openai(url).responses.create({ ...first, input: 'Weather?' });
    upstream.answer(says(ANTHROPIC_VENDOR, HELLO));
    const result = { type: 'function_call_output', call_id: 'toolu_1', output: 'Rain' } as const;
    const input = [ASK, ...output, result] as never;
    await openai(url).responses.create({ ...first, input });
    assertTurn(upstream.requests.at(-1));
  });

  it('is redacted and goes back all the same', async (t) => {
    const message = {
      id: 'msg_up',
      type: 'message',
      role: 'assistant',
      model: 'claude',
      content: [
        { type: 'redacted_thinking', data: 'c2VjcmV0' },
        { type: 'text', text: 'Hi' },
      ],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 1, output_tokens: 1 },
    };
    for (const client of ['chat', 'responses'] as const) {
      const { url, upstream } = await gateway(t, pairOf(client), json(message));
      if (client === 'chat') {
        const { choices } = await openai(url).chat.completions.create({
          model: 'the-model',
          messages: [ASK],
        });
        const messages = [ASK, choices[0]?.message, ASK] as never;
        await openai(url).chat.completions.create({ model: 'the-model', messages });
      } else {
        const { output } = await openai(url).responses.create({ model: 'the-model', input: 'Weather?' });
        await openai(url).responses.create({ model: 'the-model', input: [ASK, ...output, ASK] as never });
      }
      assert.deepEqual(bodyOf(upstream.requests.at(-1)).messages[1].content, message.content);
    }
  });

  it('that a client has not kept is not asked for in the turn that it belongs to', async (t) => {
    const { url, upstream } = await gateway(t, pairOf('chat'), says(ANTHROPIC_VENDOR, HELLO));
    const body = { ...CHAT_CLIENT.bodies.tools, reasoning_effort: 'high', model: 'the-model' };
    await CHAT_CLIENT.ask(url, body);
    assert.equal(bodyOf(upstream.requests[0]).thinking, undefined);
  });

  it('is left out where the upstream speaks chat completions', async (t) => {
    const { url, upstream } = await gateway(t, pairOf('messages'), says(CHAT_VENDOR, HELLO));
    const messages = [
      ASK,
      { role: 'assistant', content: [...THINKING_TURN.slice(0, 1), TEXT] },
      ASK,
    ] as never;
    await anthropic(url).messages.create({ model: 'the-model', max_tokens: 9, messages });
    assert.deepEqual(bodyOf(upstream.requests[0]).messages[1], { role: 'assistant', content: 'Hm.' });
  });
});

describe('a request to an upstream', () => {
  it('has every setting that both dialects know', async (t) => {
    const chat = await gateway(t, pairOf('chat'), says(ANTHROPIC_VENDOR, HELLO));
    await CHAT_CLIENT.ask(chat.url, {
      model: 'the-model',
      messages: [{ role: 'developer', content: 'Be brief.' }, ASK],
      temperature: 0.1,
      top_p: 0.2,
      top_k: 3,
      stop: 'END',
      tools: [{ type: 'function', function: { name: 'now', strict: true } }],
      tool_choice: 'required',
    });
    assert.deepEqual(bodyOf(chat.upstream.requests[0]), {
      model: 'claude-sonnet-4-5',
      max_tokens: 4096,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Weather?' }] }],
      temperature: 0.1,
      top_p: 0.2,
      top_k: 3,
      stop_sequences: ['END'],
      tools: [{ name: 'now', input_schema: { type: 'object', properties: {} }, strict: true }],
      tool_choice: { type: 'any' },
    });
    const messages = await gateway(t, pairOf('messages'), says(CHAT_VENDOR, HELLO));
    await MESSAGES_CLIENT.ask(messages.url, {
      model: 'the-model',
      max_tokens: 9,
      messages: [ASK],
      top_p: 0.2,
      stop_sequences: ['END'],
      thinking: { type: 'disabled' },
      output_config: { effort: 'max' },
      metadata: { user_id: 'u' },
      tools: [{ type: 'custom', name: 'now', input_schema: { type: 'object' }, input_examples: [{ a: 1 }] }],
      tool_choice: { type: 'none' },
    });
    assert.deepEqual(bodyOf(messages.upstream.requests[0]), {
      model: 'gpt-4o',
      max_tokens: 9,
      messages: [{ role: 'user', content: 'Weather?' }],
      top_p: 0.2,
      stop: ['END'],
      reasoning_effort: 'xhigh',
      tools: [
        {
          type: 'function',
          function: { name: 'now', description: 'Example input: {"a":1}', parameters: { type: 'object' } },
        },
      ],
      tool_choice: 'none',
    });
  });

  it('asks models of Anthropic for thinking as they know it', async (t) => {
    const effort = {
      thinking: { type: 'adaptive', display: 'summarized' },
      output_config: { effort: 'low' },
    };
    const budget = { thinking: { type: 'enabled', budget_tokens: 2048 }, output_config: undefined };
    for (const [model, expected] of [
      ['claude-opus-4-6', effort],
      ['claude-sonnet-5', effort],
      ['claude-opus-4-5-20251101', budget],
      ['claude-sonnet-4-20250514', budget],
      ['claude-haiku-4-5', budget],
      ['claude-3-7-sonnet-latest', budget],
    ] as const) {
      const { url, upstream } = await gateway(t, { ...pairOf('chat'), model }, says(ANTHROPIC_VENDOR, HELLO));
      await CHAT_CLIENT.ask(url, { model: 'the-model', messages: [ASK], reasoning_effort: 'low' });
      const { thinking, output_config, max_tokens } = bodyOf(upstream.requests[0]);
      assert.deepEqual({ thinking, output_config }, expected, model);
      assert.equal(max_tokens, 32_000);
    }
  });

  it('limits the output in the word that the upstream takes', async (t) => {
    const azure: Pair = { ...pairOf('messages'), provider: 'azure' as never };
    const { url, upstream } = await gateway(t, azure, says(CHAT_VENDOR, HELLO));
    await MESSAGES_CLIENT.ask(url, { ...MESSAGES_CLIENT.bodies.text, model: 'the-model' });
    const { max_completion_tokens, max_tokens } = bodyOf(upstream.requests[0]);
    assert.deepEqual([max_completion_tokens, max_tokens], [5000, undefined]);
  });

  it('names the tool result whose call is not there, and arguments that are no JSON', async (t) => {
    const { url } = await gateway(t, pairOf('chat'), says(ANTHROPIC_VENDOR, HELLO));
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{"a"' } };
    for (const [message, param] of [
      [{ role: 'tool', tool_call_id: 'x', content: 'Rain' }, 'messages[0].tool_call_id'],
      [{ role: 'assistant', tool_calls: [call] }, 'messages[0].tool_calls[0].function.arguments'],
    ]) {
      const body = JSON.stringify({ model: 'the-model', messages: [message] });
      const response = await postTo(url, '/v1/chat/completions', body);
      const { error } = (await response.json()) as { error: { param: string } };
      assert.deepEqual([response.status, error.param], [400, param]);
    }
  });
});

describe('a provider that has chat completions alone', () => {
  it('serves clients of every dialect', async (t) => {
    const { url } = await serve(t);
    for (const client of [CHAT_CLIENT, RESPONSES_CLIENT, MESSAGES_CLIENT]) {
      const body = { ...client.bodies.text, model: 'echo' };
      assert.equal((await client.ask(url, body)).text, 'How are you?');
      assert.equal((await client.stream(url, body)).text, 'How are you?');
    }
  });

  it('gets the call as one of chat completions, with the caller and the model that it knows', async (t) => {
    const { url, requests } = await provided(t);
    await MESSAGES_CLIENT.ask(url, { ...MESSAGES_CLIENT.bodies.text, model: 'the-model' });
    const [request] = requests;
    assert.deepEqual(
      [request?.id, request?.surface, request?.model, request?.identity?.id, request?.signal.aborted],
      ['req-1', 'chat.completions', 'the-model', 'ada', false],
    );
    assert.match(request?.text ?? '', /How are you\?/);
  });
});

const ASK = { role: 'user', content: 'Weather?' } as const;
const TEXT = { type: 'text', text: 'Hm.' };

function pairOf(client: string): Pair {
  return PAIRS.find((pair) => pair.client.name === client) as Pair;
}

function assertTurn(request: UpstreamRequest | undefined): void {
  const { messages, thinking } = bodyOf(request);
  assert.deepEqual(messages[1], { role: 'assistant', content: THINKING_TURN });
  assert.deepEqual(messages[2].content, [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'Rain' }]);
  assert.deepEqual(thinking, { type: 'enabled', budget_tokens: 2048 });
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the gateway has sent is looked at member by member
function bodyOf(request: UpstreamRequest | undefined): any {
  return JSON.parse(String(request?.body));
}

async function provided(t: TestContext): Promise<{ url: string; requests: LlmRequest[] }> {
  const requests: LlmRequest[] = [];
  const provider = providing({
    async chat(request) {
      requests.push(request);
      const message = { role: 'assistant', content: 'Hi' };
      const body = JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }] });
      return { status: 200, headers: { 'content-type': 'application/json' }, body };
    },
  });
  const { url } = await serve(t, {
    deployments: [deployment(null, { group: 'the-model', provider: 'acme' })],
    pipeline: emptyPipeline({ providers: new Map([['acme', provider]]) }),
    identity: Object.freeze({ id: 'ada' }),
  });
  return { url, requests };
}
