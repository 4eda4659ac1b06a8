import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { GatewayError } from '../../src/errors.ts';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { LlmRequest, LlmResponse } from '../../src/plugin-api/llm.ts';
import { chat, dataOf, deployment, post, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import {
  COMPLETION,
  chatStream,
  DONE,
  delta,
  json,
  type Script,
  startUpstream,
  stream,
  type Upstream,
} from '../support/upstream.ts';

/** What hooks see of an answer that is not streamed. */
const WHOLE_EVENTS = ['first-token', 'text', 'usage', 'finish'].map((type) => `onChunk ${type}`);
const WORDS = ['one', ' two', ' three'];
const BLOCKED = new GatewayError('content_filter', 'The answer is refused');

describe('the phases of a call', () => {
  it('run in their order', async (t) => {
    for (const [wanted, script] of [
      [false, json(COMPLETION)],
      [true, stream(chatStream(['one']).slice(-2))],
    ] as const) {
      const order: string[] = [];
      const { url } = await gateway(t, recording(order), async (request, res, socket) => {
        order.push('upstream');
        await script(request, res, socket);
      });
      await (await post(url, chat({ stream: wanted }))).text();
      assert.deepEqual(order, [
        'onRequest',
        'evaluateInput',
        'onRoute gpt-4o/0 simple-shuffle 1',
        'upstream',
        ...(wanted ? ['onChunk usage'] : WHOLE_EVENTS),
        'onResponse',
        'evaluateOutput',
        'observeOutput',
      ]);
    }
  });

  it('see the request frozen, with its identity and a signal', async (t) => {
    const seen: LlmRequest[] = [];
    const { url } = await gateway(t, {
      onRequest: async (request) => {
        seen.push(request);
        return { request, response: null };
      },
    });
    await post(url, chat({ temperature: 1 }));
    const [request] = seen;
    assert.ok(request !== undefined);
    const { signal, ...rest } = request;
    assert.deepEqual(rest, {
      id: 'req-1',
      surface: 'chat.completions',
      model: 'gpt-4o',
      stream: false,
      body: { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }], temperature: 1 },
      identity: null,
      trace: null,
    });
    assert.ok(Object.isFrozen(request) && Object.isFrozen((request.body.messages as unknown[])[0]));
    assert.equal(signal.aborted, false);
  });

  it('refuse a body in which any key stands twice, since the upstream may read the other one', async (t) => {
    const { url, upstream } = await gateway(t, { evaluateInput: async () => undefined });
    const body = '{"model":"gpt-4o","messages":[{"role":"user","content":"bad","content":"good"}]}';
    const response = await post(url, body);
    assert.equal(response.status, 400);
    assert.equal(await codeOf(response), 'invalid_json');
    assert.equal(upstream.requests.length, 0);
  });
});

describe('onRequest', () => {
  it('may change the body; the model in it counts', async (t) => {
    const { url, upstream } = await gateway(t, {
      onRequest: async (request) => ({
        request: { ...request, body: { ...request.body, model: 'gpt-4o', user: 'gateway' } },
        response: null,
      }),
    });
    const response = await post(url, chat({ model: 'alias' }));
    assert.equal(response.status, 200);
    assert.deepEqual(JSON.parse(String(upstream.requests[0]?.body)), {
      ...JSON.parse(chat()),
      user: 'gateway',
    });
  });

  it('may answer by itself, in the form that the client asked for', async (t) => {
    const { url, upstream } = await gateway(t, {
      onRequest: async (request) => ({ request, response: COMPLETION }),
    });
    const whole = await post(url, chat());
    assert.equal(whole.headers.get('x-llmrouter-deployment'), 'none');
    assert.equal(whole.headers.get('x-llmrouter-attempts'), '0');
    assert.deepEqual(await whole.json(), COMPLETION);
    const data = dataOf(await (await post(url, chat({ stream: true }))).text());
    assert.equal(data.at(-1), '[DONE]');
    assert.equal(JSON.parse(data[0] ?? '').choices[0].delta.content, 'Hello from upstream');
    assert.equal(upstream.requests.length, 0);
  });

  it('may not answer with what a block evaluator refuses, nor for a model that the caller may not use', async (t) => {
    const answer: Partial<LlmPhases> = {
      onRequest: async (request) => ({ request, response: COMPLETION }),
      evaluateOutput: refuse,
    };
    const { url } = await gateway(t, answer);
    for (const wanted of [false, true]) {
      assert.equal(await codeOf(await post(url, chat({ stream: wanted }))), 'content_filter');
    }
    const limited = await serve(t, {
      pipeline: emptyPipeline({ llm: answer }),
      identity: { id: 'ci', models: ['other'] },
    });
    assert.equal(await codeOf(await post(limited.url, chat())), 'permission_error');
  });
});

describe('a refusal', () => {
  it('of the input reaches the client, onError, and no upstream', async (t) => {
    const errors: unknown[] = [];
    const { url, upstream } = await gateway(t, {
      evaluateInput: refuse,
      onError: (_request, error) => errors.push(error),
    });
    const response = await post(url, chat());
    assert.equal(response.status, 400);
    assert.equal(await codeOf(response), 'content_filter');
    assert.deepEqual(errors, [BLOCKED]);
    assert.equal(upstream.requests.length, 0);
  });

  it('of the output leaves nothing of the answer, streamed or not', async (t) => {
    const { url, upstream } = await gateway(t, { evaluateOutput: refuse }, json(COMPLETION));
    const whole = await post(url, chat());
    assert.equal(whole.status, 400);
    assert.ok(!(await whole.text()).includes('Hello'));
    upstream.answer(stream(chatStream(WORDS)));
    const streamed = await post(url, chat({ stream: true }));
    assert.equal(streamed.status, 400);
    assert.ok(!(await streamed.text()).includes('two'));
  });

  it('by a hook in the middle of a stream ends it with an error event, and ends the upstream', async (t) => {
    let texts = 0;
    const { url, upstream } = await gateway(
      t,
      {
        onChunk: async (_request, event) => {
          if (event.type === 'text' && ++texts === 2)
            throw Object.assign(new Error('enough'), { status: 400 });
          return [event];
        },
      },
      (_request, res) =>
        void res.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta('one') + delta('two')),
    );
    const next = upstream.nextRequest();
    const data = dataOf(await (await post(url, chat({ stream: true }))).text());
    assert.equal(data.length, 2);
    assert.deepEqual(JSON.parse(data[1] ?? '').error, {
      message: 'enough',
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_request',
    });
    await (await next).aborted;
  });

  it('without a reason of its own is a bare 500, and its cause is in the log', async (t) => {
    const { url, log } = await gateway(t, {
      evaluateInput: async (): Promise<never> => {
        throw new Error('secret detail');
      },
    });
    const response = await post(url, chat());
    assert.equal(response.status, 500);
    assert.ok(!(await response.text()).includes('secret'));
    assert.match(log.join(''), /secret detail/);
  });
});

describe('onResponse and the evaluators of the output', () => {
  it('get the logprobs of a streamed answer as one list', async (t) => {
    const piece = (token: string): string =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: token }, logprobs: { content: [{ token }] } }] })}\n\n`;
    const seen: LlmResponse[] = [];
    const { url } = await gateway(
      t,
      { evaluateOutput: async (_request, response) => void seen.push(response) },
      stream([piece('one'), piece(' two'), DONE]),
    );
    await (await post(url, chat({ stream: true }))).text();
    const [choice] = (seen[0]?.body.choices ?? []) as { logprobs: object }[];
    assert.deepEqual(choice?.logprobs, { content: [{ token: 'one' }, { token: ' two' }] });
  });

  it('get a streamed answer put together, text, tool calls and usage', async (t) => {
    const call = (fields: object): string =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...fields }] } }] })}\n\n`;
    const parts = [
      call({ id: 'call_1', type: 'function', function: { name: 'now', arguments: '{"z' } }),
      call({ function: { arguments: 'one":1}' } }),
      ...chatStream(WORDS),
    ];
    const seen: LlmResponse[] = [];
    const { url } = await gateway(
      t,
      { evaluateOutput: async (_request, response) => void seen.push(response) },
      stream(parts),
    );
    assert.equal(await (await post(url, chat({ stream: true }))).text(), parts.join(''));
    const [response] = seen;
    assert.ok(response !== undefined);
    assert.equal(response.text, '{"zone":1}\none two three');
    assert.deepEqual(response.usage, { promptTokens: 9, completionTokens: 3, totalTokens: 12 });
    const [choice] = response.body.choices as { message: object; finish_reason: string }[];
    assert.equal(choice?.finish_reason, 'stop');
    assert.deepEqual(choice?.message, {
      role: 'assistant',
      content: 'one two three',
      tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'now', arguments: '{"zone":1}' } }],
    });
  });

  it('change the answer before it is judged', async (t) => {
    const judged: string[] = [];
    const { url } = await gateway(t, {
      onResponse: async (_request, response) => ({
        ...response,
        body: {
          ...response.body,
          choices: [{ index: 0, message: { role: 'assistant', content: 'masked' } }],
        },
      }),
      evaluateOutput: async (_request, response) => {
        judged.push(response.text);
      },
    });
    const body = (await (await post(url, chat())).json()) as { choices: { message: { content: string } }[] };
    assert.equal(body.choices[0]?.message.content, 'masked');
    assert.deepEqual(judged, ['masked']);
  });

  it('leave the bytes of an answer alone that nobody changes', async (t) => {
    const odd = '{ "choices":[ ], "n":1.0, "big":12345678901234567890 }';
    const { url } = await gateway(
      t,
      { onResponse: async (_request, response) => response },
      (_request, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end(odd),
    );
    assert.equal(await (await post(url, chat())).text(), odd);
  });

  it('let a held stream go as it came once it has passed', async (t) => {
    const { url } = await gateway(t, { evaluateOutput: async () => undefined }, stream(chatStream(WORDS)));
    const response = await post(url, chat({ stream: true }));
    assert.equal(await response.text(), chatStream(WORDS).join(''));
  });
});

async function refuse(): Promise<never> {
  throw BLOCKED;
}

async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}

function recording(order: string[]): Partial<LlmPhases> {
  return {
    onRequest: async (request) => {
      order.push('onRequest');
      return { request, response: null };
    },
    evaluateInput: async () => void order.push('evaluateInput'),
    onRoute: async (_request, { deployment: { id }, strategy, attempt }) =>
      void order.push(`onRoute ${id} ${strategy} ${attempt}`),
    onChunk: async (_request, event) => {
      order.push(`onChunk ${event.type}`);
      return [event];
    },
    onResponse: async (_request, response) => {
      order.push('onResponse');
      return response;
    },
    evaluateOutput: async () => void order.push('evaluateOutput'),
    observeOutput: () => void order.push('observeOutput'),
  };
}

async function gateway(
  t: TestContext,
  llm: Partial<LlmPhases>,
  script: Script = json(COMPLETION),
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const served = await serve(t, {
    deployments: [deployment(upstream.url)],
    pipeline: emptyPipeline({ llm }),
  });
  return { ...served, upstream };
}
