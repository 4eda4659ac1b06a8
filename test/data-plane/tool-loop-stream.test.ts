import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import OpenAI from 'openai';
import { GatewayError } from '../../src/errors.ts';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import { runtimeOf } from '../mcp/support.ts';
import { chat, dataOf, post } from '../support/data-plane.ts';
import {
  chatStream,
  cutStream,
  DONE,
  delta,
  event,
  json,
  type Script,
  silence,
  stream,
} from '../support/upstream.ts';
import { ADD, AUTO, ask, asking, gateway, MINE } from './tool-loop-support.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests look at what came, whatever it is
type Chunk = any;

interface Called {
  readonly name: string;
  readonly args: string;
  readonly index?: number;
}

const SUM: Called = { name: 'math_add', args: '{"a":1,"b":1}' };
const STREAMED: string = chat({ stream: true });

/** The events of a round that says `words` and then calls tools. Its id and usage are its own. */
function callingEvents(words: readonly string[], ...calls: readonly Called[]): string[] {
  const round = (fields: Record<string, unknown>): string =>
    event({ id: 'chatcmpl-0', created: 1, ...fields });
  const said = (fields: Record<string, unknown>): string =>
    round({ choices: [{ index: 0, delta: fields, finish_reason: null }] });
  return [
    said({ role: 'assistant', content: null }),
    ...words.map((content) => said({ content })),
    ...calls.flatMap(({ name, args, index = 0 }) => [
      said({
        tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name, arguments: '' } }],
      }),
      ...[args.slice(0, 3), args.slice(3)].map((text) =>
        said({ tool_calls: [{ index, function: { arguments: text } }] }),
      ),
    ]),
    round({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] }),
    round({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }),
    DONE,
  ];
}

function calling(words: readonly string[], ...calls: readonly Called[]): Script {
  return stream(callingEvents(words, ...calls));
}

/** The chunks of a stream, and whether it was complete. */
function chunksIn(sse: string): { readonly chunks: Chunk[]; readonly isDone: boolean } {
  const data = dataOf(sse);
  const isDone = data.at(-1) === '[DONE]';
  return { chunks: (isDone ? data.slice(0, -1) : data).map((text) => JSON.parse(text)), isDone };
}

function textOf(chunks: readonly Chunk[]): string {
  return chunks.map((chunk) => chunk.choices?.[0]?.delta.content ?? '').join('');
}

/** Reads a body up to the first read in which, with all before it, `text` stands. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
  let read = '';
  while (!read.includes(text)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the stream ended before ${JSON.stringify(text)}: ${read}`);
    read += Buffer.from(value).toString();
  }
  return read;
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  assert.ok(response.body !== null);
  return response.body.getReader();
}

describe('the stream of a chat whose tools the gateway runs', () => {
  it('has the text of every round as it is said, as one answer', async (t) => {
    const { url, sent } = await gateway(t, ADD, [
      calling(['Let me ', 'see'], SUM),
      stream(chatStream(['It is', ' 2'])),
    ]);
    const { chunks, isDone } = chunksIn(
      await (await post(url, chat({ stream: true, stream_options: { include_usage: true } }), AUTO)).text(),
    );
    assert.ok(isDone);
    assert.equal(textOf(chunks), 'Let me see\n\nIt is 2');
    assert.deepEqual([...new Set(chunks.map(({ id }) => id))], ['chatcmpl-0']);
    assert.deepEqual([...new Set(chunks.map(({ created }) => created))], [1]);
    const choices = chunks.flatMap((chunk) => chunk.choices);
    assert.deepEqual(
      choices.flatMap(({ delta: { role } }) => role ?? []),
      ['assistant'],
    );
    assert.deepEqual(
      choices.flatMap(({ finish_reason }) => finish_reason ?? []),
      ['stop'],
    );
    assert.ok(choices.every(({ delta: { tool_calls } }) => tool_calls === undefined));
    assert.deepEqual(
      chunks.flatMap(({ usage }) => usage ?? []),
      [{ prompt_tokens: 14, completion_tokens: 5, total_tokens: 19 }],
    );
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(sent(1).messages.slice(1), [
      {
        role: 'assistant',
        content: 'Let me see',
        tool_calls: [
          { id: 'call_0', type: 'function', function: { name: 'math_add', arguments: '{"a":1,"b":1}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_0', content: '2' },
    ]);
  });

  it('asks upstreams for the usage, and tells it only to a client that wants to know', async (t) => {
    const { url, sent } = await gateway(t, ADD, [calling([], SUM), stream(chatStream(['2']))]);
    const { chunks } = chunksIn(await (await post(url, STREAMED, AUTO)).text());
    assert.deepEqual([sent(0).stream, sent(0).stream_options], [true, { include_usage: true }]);
    assert.ok(chunks.every((chunk) => !('usage' in chunk) && chunk.choices.length === 1));
  });

  it('comes as the upstream sends it', async (t) => {
    const { promise: isRead, resolve: read } = Promise.withResolvers<void>();
    const { url } = await gateway(t, ADD, [
      calling([], SUM),
      stream(chatStream(['first', 'second']), (written) => (written === 2 ? isRead : undefined)),
    ]);
    const reader = readerOf(await post(url, STREAMED, AUTO));
    const begin = await readUntil(reader, 'first');
    read();
    assert.equal(textOf(chunksIn(begin + (await readUntil(reader, '[DONE]'))).chunks), 'firstsecond');
  });

  it('comes as it is said when the round turns out to call a tool', async (t) => {
    const { promise: isRead, resolve: read } = Promise.withResolvers<void>();
    const { url } = await gateway(t, ADD, [
      stream(callingEvents(['Let me see'], SUM), (written) => (written === 2 ? isRead : undefined)),
      stream(chatStream(['2'])),
    ]);
    const reader = readerOf(await post(url, STREAMED, AUTO));
    await readUntil(reader, 'Let me see');
    read();
    await readUntil(reader, '[DONE]');
  });

  it('serves the official client', async (t) => {
    const { url } = await gateway(t, ADD, [calling(['Let me see'], SUM), stream(chatStream(['It is 2']))]);
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', defaultHeaders: AUTO, maxRetries: 0 });
    const completion = await openai.chat.completions
      .stream({
        model: 'gpt-4o',
        messages: [{ role: 'user', content: 'Hello' }],
        stream_options: { include_usage: true },
      })
      .finalChatCompletion();
    const [choice] = completion.choices;
    assert.equal(choice?.message.content, 'Let me see\n\nIt is 2');
    assert.deepEqual([choice?.finish_reason, choice?.message.tool_calls], ['stop', undefined]);
    assert.equal(completion.usage?.total_tokens, 19);
  });

  it('serves curl -N', async (t) => {
    const { promise: isRead, resolve: read } = Promise.withResolvers<void>();
    const { url } = await gateway(t, ADD, [
      calling([], SUM),
      stream(chatStream(['first', 'second']), (written) => (written === 2 ? isRead : undefined)),
    ]);
    const headers = ['-H', 'x-llmrouter-tools: auto', '-H', 'content-type: application/json'];
    const curl = spawn('curl', ['-sN', ...headers, '-d', STREAMED, `${url}/v1/chat/completions`]);
    let output = '';
    for await (const piece of curl.stdout) {
      output += piece;
      if (output.includes('first')) read();
    }
    assert.equal(textOf(chunksIn(output).chunks), 'firstsecond');
    assert.ok(output.endsWith(DONE));
  });

  it('has the calls of the client’s own tools as they come, and none of the gateway’s', async (t) => {
    const mine = { name: 'mine', args: '{"x":1}', index: 1 };
    const { url, upstream } = await gateway(t, ADD, [calling(['Both'], SUM, mine)]);
    const { chunks, isDone } = chunksIn(
      await (await post(url, chat({ stream: true, tools: [MINE] }), AUTO)).text(),
    );
    assert.ok(isDone);
    const calls = chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
    assert.deepEqual(calls, [
      { index: 0, id: 'call_1', type: 'function', function: { name: 'mine', arguments: '' } },
      { index: 0, function: { arguments: '{"x' } },
      { index: 0, function: { arguments: '":1}' } },
    ]);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');
    assert.equal(upstream.requests.length, 1);
  });

  it('ends with `length` when no round may follow', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [calling(['Again'], SUM)], {
      toolLimits: { maxRounds: 1, timeoutMs: 60_000 },
    });
    const { chunks, isDone } = chunksIn(await (await post(url, STREAMED, AUTO)).text());
    assert.equal(upstream.requests.length, 2);
    assert.deepEqual(
      [isDone, textOf(chunks), chunks.at(-1).choices[0].finish_reason],
      [true, 'Again\n\nAgain', 'length'],
    );
  });

  it('is the last round alone when it is to be JSON, which a text before it would spoil', async (t) => {
    const { url } = await gateway(t, ADD, [
      calling(['Let me see'], SUM),
      stream(chatStream(['{"sum":', '2}'])),
    ]);
    const body = chat({ stream: true, response_format: { type: 'json_object' } });
    const { chunks, isDone } = chunksIn(await (await post(url, body, AUTO)).text());
    assert.deepEqual([isDone, textOf(chunks)], [true, '{"sum":2}']);
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  });

  it('is made of whole answers too, of an upstream that does not stream', async (t) => {
    const { url } = await gateway(t, ADD, [asking(['math_add', '{"a":1,"b":1}']), stream(chatStream(['2']))]);
    const { chunks, isDone } = chunksIn(await (await post(url, STREAMED, AUTO)).text());
    assert.deepEqual([isDone, textOf(chunks)], [true, 'Let me see\n\n2']);
  });

  it('says that it goes on while a tool takes its time', async (t) => {
    const { promise: result, resolve: finish } = Promise.withResolvers<string>();
    const { url } = await gateway(
      t,
      runtimeOf({ slow: () => result }),
      [calling(['Let me see'], { name: 'slow', args: '{}' }), stream(chatStream(['done']))],
      { keepAliveMs: 10 },
    );
    const reader = readerOf(await post(url, STREAMED, AUTO));
    await readUntil(reader, 'Let me see');
    await readUntil(reader, ': keep-alive');
    finish('at last');
    await readUntil(reader, '[DONE]');
  });

  it('counts the attempts of each round apart in its record, and together for the client', async (t) => {
    const attempts: number[] = [];
    const { url } = await gateway(t, ADD, [calling([], SUM), stream(chatStream(['2']))], {
      export: (record) => attempts.push(record.attempts),
    });
    const response = await post(url, STREAMED, AUTO);
    await response.text();
    assert.deepEqual([attempts, response.headers.get('x-llmrouter-attempts')], [[1, 1], '2']);
  });
});

describe('failures in the stream of a chat whose tools the gateway runs', () => {
  const refusal = json({ error: { message: 'too hot', type: 'invalid_request_error' } }, 400);

  it('are answers of their own while the client has got nothing', async (t) => {
    for (const scripts of [[refusal], [calling([], SUM), refusal]]) {
      const { url } = await gateway(t, ADD, scripts);
      const { status, body } = await ask(url, { stream: true });
      assert.deepEqual([status, body.error.message], [400, 'too hot']);
    }
  });

  it('are an error event, and no end, once it has got something', async (t) => {
    for (const last of [refusal, cutStream([delta('It')])]) {
      const { url } = await gateway(t, ADD, [calling(['Let me see'], SUM), last]);
      const response = await post(url, STREAMED, AUTO);
      const { chunks, isDone } = chunksIn(await response.text());
      assert.deepEqual([response.status, isDone], [200, false]);
      assert.match(textOf(chunks), /^Let me see/);
      assert.ok(chunks.at(-1).error.message.length > 0);
      assert.ok(chunks.slice(0, -1).every((chunk) => chunk.choices[0].finish_reason === null));
    }
  });

  it('that a stream tells of itself end it: no tools are run', async (t) => {
    const broken = stream([delta('It'), 'data: {"error":{"message":"overloaded"}}\n\n', DONE]);
    const { url, upstream } = await gateway(t, ADD, [broken]);
    const { chunks, isDone } = chunksIn(await (await post(url, STREAMED, AUTO)).text());
    assert.deepEqual([isDone, chunks.at(-1).error.message], [false, 'overloaded']);
    assert.equal(upstream.requests.length, 1);
  });

  it('of the client’s connection end the upstream’s, in the middle of a round', async (t) => {
    const words: Script = stream(chatStream(['one', 'two']), (written) =>
      written === 2 ? new Promise(() => undefined) : undefined,
    );
    const { url, upstream } = await gateway(t, ADD, [calling(['Let me see'], SUM), words]);
    const client = new AbortController();
    const reader = readerOf(await post(url, STREAMED, AUTO, client.signal));
    await readUntil(reader, 'one');
    client.abort();
    await upstream.requests[1]?.aborted;
  });

  it('of the client’s connection end the upstream’s before a round has answered', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [calling(['Let me see'], SUM), silence]);
    const client = new AbortController();
    await readUntil(readerOf(await post(url, STREAMED, AUTO, client.signal)), 'Let me see');
    const request = upstream.requests[1] ?? (await upstream.nextRequest());
    client.abort();
    await request.aborted;
  });
});

describe('evaluators on the stream of a chat whose tools the gateway runs', () => {
  /** Refuses a text that has `secret` in it. */
  const guard: Partial<LlmPhases> = {
    outputWindow: 6,
    evaluateOutput: async (_request, { text }) => {
      if (text.includes('secret')) throw new GatewayError('content_filter', 'Refused');
      return undefined;
    },
  };

  it('stop what they refuse in any round before it leaves', async (t) => {
    const rounds = [
      [calling(['a sec', 'ret'], SUM)],
      [calling([], SUM), stream(chatStream(['a sec', 'ret']))],
    ];
    for (const scripts of rounds) {
      const { url } = await gateway(t, ADD, scripts, { llm: guard });
      const { status, body } = await ask(url, { stream: true });
      assert.deepEqual([status, body.error.code], [400, 'content_filter']);
    }
  });

  it('end a stream that has begun with an error event', async (t) => {
    const { url } = await gateway(
      t,
      ADD,
      [calling(['Let me see'], SUM), stream(chatStream(['a sec', 'ret']))],
      {
        llm: guard,
      },
    );
    const { chunks, isDone } = chunksIn(await (await post(url, STREAMED, AUTO)).text());
    assert.deepEqual([isDone, textOf(chunks)], [false, 'Let me see']);
    assert.equal(chunks.at(-1).error.code, 'content_filter');
  });

  it('see the arguments of calls that the client does not see', async (t) => {
    const { url, upstream } = await gateway(t, ADD, [calling([], { name: 'math_add', args: '"secret"' })], {
      llm: guard,
    });
    const { status } = await ask(url, { stream: true });
    assert.deepEqual([status, upstream.requests.length], [400, 1]);
  });

  it('let pass, masked, what they mask', async (t) => {
    const llm: Partial<LlmPhases> = {
      outputWindow: 6,
      evaluateOutput: async (_request, { text }) => {
        const start = text.indexOf('secret');
        return start === -1 ? [] : [{ start, end: start + 6, replacement: '***' }];
      },
    };
    const { url, sent } = await gateway(t, ADD, [calling(['a sec', 'ret'], SUM), stream(chatStream(['2']))], {
      llm,
    });
    const { chunks } = chunksIn(await (await post(url, STREAMED, AUTO)).text());
    assert.equal(textOf(chunks), 'a ***\n\n2');
    assert.equal(sent(1).messages[1].content, 'a ***');
  });
});
