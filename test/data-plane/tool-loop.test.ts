import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { ToolCall } from '../../src/plugin-api/tools.ts';
import { runtimeOf } from '../mcp/support.ts';
import { chat, dataOf, post, postTo } from '../support/data-plane.ts';
import { COMPLETION, json } from '../support/upstream.ts';
import { ADD, AUTO, ask, asking, gateway, MINE } from './tool-loop-support.ts';

describe('tools that the gateway runs for a chat', () => {
  it('are not added unless the client asks for it', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [json(COMPLETION)]);
    const body = chat();
    await (await post(url, body)).text();
    assert.equal(String(upstream.requests[0]?.body), body);
  });

  it('are offered, run, and their results given to the model until it has its answer', async (t) => {
    const { url, sent, upstream } = await gateway(t, ADD, [
      asking(['math_add', '{"a":2,"b":3}']),
      json(COMPLETION),
    ]);
    const { status, body, headers } = await ask(url, { temperature: 0.5, tools: [MINE] });
    assert.equal(status, 200);
    assert.equal(body.choices[0].message.content, 'Hello from upstream');
    assert.deepEqual(body.usage, { prompt_tokens: 18, completion_tokens: 6, total_tokens: 24 });
    assert.equal(headers.get('x-llmrouter-attempts'), '2');
    assert.equal(upstream.requests.length, 2);
    const first = sent(0);
    assert.equal(first.temperature, 0.5);
    assert.deepEqual(first.tools, [
      MINE,
      {
        type: 'function',
        function: {
          name: 'math_add',
          description: 'Adds',
          parameters: {
            type: 'object',
            properties: { a: { type: 'number' }, b: { type: 'number' } },
            required: ['a', 'b'],
          },
        },
      },
    ]);
    const [user, said, result] = sent(1).messages;
    assert.deepEqual(user, first.messages[0]);
    assert.equal(said.tool_calls[0].id, 'call_0');
    assert.deepEqual(result, { role: 'tool', tool_call_id: 'call_0', content: '5' });
  });

  it('leave the call to the client when it is for a tool of its own, and only that', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [asking(['math_add', '{"a":1,"b":1}'], ['mine', '{}'])]);
    const { body } = await ask(url, { tools: [MINE] });
    assert.equal(upstream.requests.length, 1);
    assert.equal(body.choices[0].finish_reason, 'tool_calls');
    assert.deepEqual(
      body.choices[0].message.tool_calls.map((call: { function: { name: string } }) => call.function.name),
      ['mine'],
    );
  });

  it('that cannot be called as the model wants are results that say so', async (t) => {
    const { url, sent } = await gateway(t, ADD, [
      asking(['math_add', '{"a":"x","b":1}'], ['math_add', '{'], ['math_add', '[]'], ['made_up', '{}']),
      json(COMPLETION),
    ]);
    await ask(url);
    const results = sent(1)
      .messages.slice(2)
      .map(({ content }: { content: string }) => content);
    assert.deepEqual(results, [
      'Invalid arguments for the tool "math.add": "a" must be number',
      'The arguments are no JSON object',
      'The arguments are no JSON object',
      'There is no tool "made_up"',
    ]);
  });

  it('end after so many rounds, with what the model has said, and no calls that nobody would run', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [asking(['math_add', '{"a":1,"b":1}'])], {
      toolLimits: { maxRounds: 2, timeoutMs: 60_000 },
    });
    const { body } = await ask(url);
    assert.equal(upstream.requests.length, 3);
    const [choice] = body.choices;
    assert.deepEqual(choice.message, { role: 'assistant', content: 'Let me see' });
    assert.equal(choice.finish_reason, 'length');
  });

  it('end after so long, and are aborted', async (t) => {
    let signal: AbortSignal | undefined;
    const endless = runtimeOf({
      endless: (_name, _args, call) => {
        signal = call.signal;
        return new Promise(() => undefined);
      },
    });
    const { url, sent } = await gateway(t, endless, [asking(['endless', '{}'])], {
      toolLimits: { maxRounds: 8, timeoutMs: 50 },
    });
    const { body } = await ask(url);
    assert.equal(signal?.aborted, true);
    assert.equal(body.choices[0].finish_reason, 'length');
    assert.equal(sent(1).messages[2].content, 'The tool "endless" took too long');
  });

  it('are those that the identity may use, and know who asks', async (t) => {
    const seen: ToolCall[] = [];
    const runtime = runtimeOf({ open: (_name, _args, call) => String(seen.push(call)), secret: () => 'no' });
    const identity = { id: 'ada', tools: ['open'] };
    const { url, sent } = await gateway(
      t,
      runtime,
      [asking(['open', ''], ['secret', '']), json(COMPLETION)],
      {
        identity,
      },
    );
    await ask(url);
    assert.deepEqual(
      sent(0).tools.map((tool: { function: { name: string } }) => tool.function.name),
      ['open'],
    );
    assert.equal(sent(1).messages[3].content, 'There is no tool "secret"');
    assert.deepEqual([seen[0]?.identity, seen[0]?.id], [identity, 'req-1']);
  });

  it('are no more forced once the model has called one', async (t) => {
    const { url, sent } = await gateway(t, ADD, [asking(['math_add', '{"a":1,"b":1}']), json(COMPLETION)]);
    await ask(url, { tool_choice: 'required' });
    assert.deepEqual([sent(0).tool_choice, sent(1).tool_choice], ['required', 'auto']);
  });

  it('are aborted when the client goes', async (t) => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<AbortSignal>();
    const endless = runtimeOf({
      endless: (_name, _args, { signal }) => {
        begin(signal);
        return new Promise(() => undefined);
      },
    });
    const { url, upstream } = await gateway(t, endless, [asking(['endless', '{}'])]);
    const client = new AbortController();
    const answer = post(url, chat(), AUTO, client.signal);
    const signal = await begun;
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    client.abort();
    await assert.rejects(answer);
    await aborted;
    assert.equal(upstream.requests.length, 1);
  });

  it('are not needed: without any, the stream passes as it comes', async (t) => {
    const none = { listTools: () => [], callTool: () => '' };
    const { url, upstream } = await gateway(t, none, [json(COMPLETION)]);
    const body = chat({ stream: true });
    const events = dataOf(await (await post(url, body, AUTO)).text());
    assert.equal(events.at(-1), '[DONE]');
    assert.equal(String(upstream.requests[0]?.body), body);
  });

  it('give the client an upstream’s error as it is, in the first round and later', async (t) => {
    const error = json({ error: { message: 'too hot', type: 'invalid_request_error' } }, 400);
    for (const scripts of [[error], [asking(['math_add', '{"a":1,"b":1}']), error]]) {
      const { url } = await gateway(t, ADD, scripts);
      const { status, body } = await ask(url);
      assert.deepEqual([status, body.error.message], [400, 'too hot']);
    }
  });

  it('are seen by hooks and evaluators round by round', async (t) => {
    const judged: string[] = [];
    const llm: Partial<LlmPhases> = {
      evaluateInput: async ({ body }) => {
        judged.push(String((body.messages as { content: string }[]).at(-1)?.content));
        if (judged.length === 2) throw new GatewayError('content_filter', 'The result is refused');
      },
    };
    const { url, upstream } = await gateway(t, ADD, [asking(['math_add', '{"a":1,"b":1}'])], { llm });
    const { status, body } = await ask(url);
    assert.deepEqual([status, body.error.code], [400, 'content_filter']);
    assert.deepEqual(judged, ['Hello', '2']);
    assert.equal(upstream.requests.length, 1);
  });

  it('leave a record of every round', async (t) => {
    const records: CallRecord[] = [];
    const { url } = await gateway(t, ADD, [asking(['math_add', '{"a":1,"b":1}']), json(COMPLETION)], {
      export: (record) => records.push(record),
    });
    await ask(url);
    assert.deepEqual(
      records.map(({ status, usage }) => [status, usage?.totalTokens]),
      [
        [200, 12],
        [200, 12],
      ],
    );
  });

  it('do not make an upstream repeat its first answer', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [
      asking(['math_add', '{"a":1,"b":1}']),
      json(COMPLETION),
    ]);
    await (await post(url, chat(), { ...AUTO, 'idempotency-key': 'once' })).text();
    assert.deepEqual(
      upstream.requests.map(({ headers }) => headers['idempotency-key']),
      [undefined, undefined],
    );
  });

  it('are refused where they cannot be run as asked', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [json(COMPLETION)]);
    const refusal = async (answer: Promise<Response>): Promise<[number, string]> => {
      const { error } = (await (await answer).json()) as { error: { param: string } };
      return [(await answer).status, error.param];
    };
    const header = 'x-llmrouter-tools';
    assert.deepEqual(await refusal(post(url, chat(), { [header]: 'all' })), [400, header]);
    assert.deepEqual(await refusal(postTo(url, '/v1/embeddings', chat(), AUTO)), [400, header]);
    assert.deepEqual(await refusal(post(url, chat({ n: 2 }), AUTO)), [400, 'n']);
    const mine = { type: 'function', function: { name: 'math_add' } };
    assert.deepEqual(await refusal(post(url, chat({ tools: [mine] }), AUTO)), [400, 'tools']);
    assert.equal(upstream.requests.length, 0);
  });
});
