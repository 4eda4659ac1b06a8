import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { chat, dataOf, deployment, post, serve } from '../support/data-plane.ts';

interface ErrorAnswer {
  readonly error: { readonly message: string; readonly type: string; readonly code: string };
}

describe('the built-in model', () => {
  it('answers with the last user message and counts usage when no model is configured', async (t) => {
    const { url, plane } = await serve(t);
    const response = await post(
      url,
      JSON.stringify({
        model: 'echo',
        messages: [
          { role: 'user', content: 'first' },
          { role: 'assistant', content: 'second' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Hello, ' },
              { type: 'text', text: 'world' },
            ],
          },
        ],
      }),
    );
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'echo/0');
    assert.equal(response.headers.get('x-llmrouter-attempts'), '1');
    assert.ok(Number(response.headers.get('x-llmrouter-overhead-ms')) > 0);
    const body = (await response.json()) as { model: string; choices: unknown[]; usage: unknown };
    assert.equal(body.model, 'echo');
    assert.deepEqual(body.choices, [
      {
        index: 0,
        message: { role: 'assistant', content: 'Hello, world' },
        logprobs: null,
        finish_reason: 'stop',
      },
    ]);
    assert.deepEqual(body.usage, { prompt_tokens: 6, completion_tokens: 3, total_tokens: 9 });
    assert.deepEqual(plane.models(), [{ id: 'echo', ownedBy: 'echo', providers: ['echo'], deployments: 1 }]);
  });

  it('streams in several chunks, with usage last when it is asked for', async (t) => {
    const { url } = await serve(t);
    const content = 'one two three four five';
    const response = await post(
      url,
      JSON.stringify({
        model: 'echo',
        messages: [{ role: 'user', content }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const data = dataOf(await response.text());
    assert.equal(data.pop(), '[DONE]');
    const chunks = data.map((line) => JSON.parse(line));
    assert.ok(chunks.length > 4);
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), content);
    assert.equal(chunks.at(-2).choices[0].finish_reason, 'stop');
    assert.deepEqual(chunks.at(-1).usage, { prompt_tokens: 6, completion_tokens: 6, total_tokens: 12 });
  });

  it('wants messages', async (t) => {
    const { url } = await serve(t);
    const response = await post(url, JSON.stringify({ model: 'echo' }));
    assert.equal(response.status, 400);
    const { error } = (await response.json()) as ErrorAnswer & { error: { param: string } };
    assert.equal(error.param, 'messages');
  });

  it('can be configured beside other models', async (t) => {
    const { url } = await serve(t, {
      deployments: [
        deployment(null, { id: 'parrot/0', group: 'parrot', provider: 'echo', model: 'echo' }),
        deployment('http://127.0.0.1:9/v1'),
      ],
    });
    const response = await post(url, chat({ model: 'parrot' }));
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'parrot/0');
  });
});

describe('GET /v1/models', () => {
  const deployments = [
    deployment('http://127.0.0.1:9/v1'),
    deployment('http://127.0.0.1:9/v1', { id: 'gpt-4o/1' }),
    deployment('http://127.0.0.1:9/v1', { id: 'meta/llama 3/0', group: 'meta/llama 3' }),
  ];

  it("lists each group once, in OpenAI's shape", async (t) => {
    const { url } = await serve(t, { deployments });
    const list = (await (await fetch(`${url}/v1/models`)).json()) as { object: string; data: object[] };
    assert.equal(list.object, 'list');
    assert.deepEqual(
      list.data.map((model) => ({ ...model, created: 0 })),
      [
        { id: 'gpt-4o', object: 'model', created: 0, owned_by: 'openai' },
        { id: 'meta/llama 3', object: 'model', created: 0, owned_by: 'openai' },
      ],
    );
  });

  it("lists them in Anthropic's shape for its clients", async (t) => {
    const { url } = await serve(t, { deployments });
    const client = new Anthropic({ baseURL: url, apiKey: 'none' });
    const page = await client.models.list();
    assert.deepEqual(
      [page.data.map(({ id, type }) => [id, type]), page.has_more, page.first_id, page.last_id],
      [
        [
          ['gpt-4o', 'model'],
          ['meta/llama 3', 'model'],
        ],
        false,
        'gpt-4o',
        'meta/llama 3',
      ],
    );
    const model = await client.models.retrieve('gpt-4o');
    assert.deepEqual([model.id, model.display_name], ['gpt-4o', 'gpt-4o']);
    assert.ok(Date.parse(model.created_at) > 0);
  });

  it('finds a model whose id has slashes, written out or encoded', async (t) => {
    const { url } = await serve(t, { deployments });
    for (const path of ['meta/llama%203', 'meta%2Fllama%203?x=1']) {
      const model = (await (await fetch(`${url}/v1/models/${path}`)).json()) as { id: string };
      assert.equal(model.id, 'meta/llama 3');
    }
  });

  it('answers 404 for a model that is not there, whatever its name', async (t) => {
    const { url } = await serve(t, { deployments });
    for (const id of ['nope', '%zz', '__proto__', 'constructor']) {
      const response = await fetch(`${url}/v1/models/${id}`);
      assert.equal(response.status, 404);
      assert.equal(((await response.json()) as ErrorAnswer).error.code, 'model_not_found');
    }
  });

  it('shows a caller with limits only what it may use', async (t) => {
    const { url } = await serve(t, { deployments, identity: { id: 'ci', models: ['gpt-4o'] } });
    const list = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    assert.deepEqual(
      list.data.map(({ id }) => id),
      ['gpt-4o'],
    );
    assert.equal((await fetch(`${url}/v1/models/meta%2Fllama%203`)).status, 404);
  });
});

describe('the table of paths', () => {
  it('answers another method with 405 and Allow', async (t) => {
    const { url } = await serve(t);
    const get = await fetch(`${url}/v1/chat/completions`);
    assert.equal(get.status, 405);
    assert.equal(get.headers.get('allow'), 'POST');
    assert.equal(((await get.json()) as ErrorAnswer).error.code, 'method_not_allowed');
    const remove = await fetch(`${url}/v1/models/echo`, { method: 'DELETE' });
    assert.equal(remove.status, 405);
    assert.equal(remove.headers.get('allow'), 'GET, HEAD');
  });

  it('answers HEAD for what it answers GET', async (t) => {
    const { url } = await serve(t);
    const response = await fetch(`${url}/v1/models`, { method: 'HEAD' });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '');
  });

  it('does not own any other path', async (t) => {
    const { plane } = await serve(t);
    for (const path of [
      '/',
      '/v1',
      '/v1/models/',
      '/v1/chat',
      '/v1/chat/completions/',
      '/V1/models',
      '/hello',
    ]) {
      assert.equal(plane.find('GET', path), null, path);
    }
  });
});
