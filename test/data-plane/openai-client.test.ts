import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import OpenAI from 'openai';
import { deployment, serve } from '../support/data-plane.ts';
import { responseOf, responseStream, textStream, typed } from '../support/streams.ts';
import {
  COMPLETION,
  chatStream,
  cutStream,
  json,
  type Script,
  silence,
  startUpstream,
  stream,
  text,
  type Upstream,
} from '../support/upstream.ts';

const MESSAGES = [{ role: 'user' as const, content: 'Hello, gateway' }];

describe('the official openai package, unchanged', () => {
  it('lists and retrieves models', async (t) => {
    const { client } = await clientFor(t);
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ['gpt-4o', 'echo']);
    assert.equal((await client.models.retrieve('echo')).owned_by, 'echo');
  });

  it('gets a completion, from the echo model and from an upstream', async (t) => {
    const { client } = await clientFor(t, json(COMPLETION));
    const echoed = await client.chat.completions.create({ model: 'echo', messages: MESSAGES });
    assert.equal(echoed.choices[0]?.message.content, 'Hello, gateway');
    const { data, request_id, response } = await client.chat.completions
      .create({ model: 'gpt-4o', messages: MESSAGES })
      .withResponse();
    assert.equal(data.choices[0]?.message.content, 'Hello from upstream');
    assert.equal(request_id, 'req-1');
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/0');
  });

  it('streams', async (t) => {
    const { client } = await clientFor(t, stream(chatStream(['one', ' two'])));
    for (const [model, said] of [
      ['gpt-4o', 'one two'],
      ['echo', 'Hello, gateway'],
    ] as const) {
      let text = '';
      let tokens = 0;
      for await (const chunk of await client.chat.completions.create({
        model,
        messages: MESSAGES,
        stream: true,
        stream_options: { include_usage: true },
      })) {
        text += chunk.choices[0]?.delta.content ?? '';
        tokens += chunk.usage?.total_tokens ?? 0;
      }
      assert.equal(text, said);
      assert.ok(tokens > 0);
    }
  });

  it('gets the answers of the other surfaces', async (t) => {
    const { client, upstream } = await clientFor(t);
    const model = 'gpt-4o';
    upstream.answer(json({ object: 'text_completion', choices: [{ index: 0, text: 'Hi' }] }));
    const completion = await client.completions.create({ model, prompt: 'Say Hi' });
    assert.equal(completion.choices[0]?.text, 'Hi');
    const vector = Buffer.from(Float32Array.of(1, -0.5).buffer).toString('base64');
    upstream.answer(json({ object: 'list', data: [{ object: 'embedding', index: 0, embedding: vector }] }));
    const embeddings = await client.embeddings.create({ model, input: 'a' });
    assert.deepEqual(embeddings.data[0]?.embedding, [1, -0.5]);
    upstream.answer(json({ id: 'modr-1', results: [{ flagged: true }] }));
    assert.equal((await client.moderations.create({ model, input: 'a' })).results[0]?.flagged, true);
    upstream.answer(json({ created: 1, data: [{ b64_json: 'aGk=' }] }));
    assert.equal((await client.images.generate({ model, prompt: 'a' })).data?.[0]?.b64_json, 'aGk=');
    upstream.answer(json(responseOf('Hello')));
    assert.equal((await client.responses.create({ model, input: 'a' })).output_text, 'Hello');
  });

  it('speaks and transcribes', async (t) => {
    const { client, upstream } = await clientFor(t, (_request, res) => {
      res.writeHead(200, { 'content-type': 'audio/mpeg', 'transfer-encoding': 'chunked' }).end('sound');
    });
    const model = 'gpt-4o';
    const speech = await client.audio.speech.create({ model, voice: 'alloy', input: 'a' });
    assert.equal(Buffer.from(await speech.arrayBuffer()).toString(), 'sound');
    const file = await OpenAI.toFile(Buffer.from('\r\n--sound\r\n'), 'a "quoted" näme.mp3');
    upstream.answer(json({ text: 'Hello', usage: { type: 'duration', seconds: 1 } }));
    assert.equal((await client.audio.transcriptions.create({ model, file })).text, 'Hello');
    assert.match(
      String(upstream.requests.at(-1)?.headers['content-type']),
      /^multipart\/form-data; boundary=/,
    );
    upstream.answer(text('1\n00:00:00,000 --> 00:00:01,000\nHello\n', 200, 'text/plain'));
    const subtitles = await client.audio.transcriptions.create({ model, file, response_format: 'srt' });
    assert.match(subtitles, /Hello/);
    upstream.answer(
      stream([typed('transcript.text.delta', { delta: 'Hel' }), typed('transcript.text.done')]),
    );
    const types: string[] = [];
    for await (const { type } of await client.audio.transcriptions.create({ model, file, stream: true })) {
      types.push(type);
    }
    assert.deepEqual(types, ['transcript.text.delta', 'transcript.text.done']);
  });

  it('streams completions and responses', async (t) => {
    const { client, upstream } = await clientFor(t, stream(textStream(['one', ' two'])));
    const model = 'gpt-4o';
    let said = '';
    for await (const { choices } of await client.completions.create({ model, prompt: 'a', stream: true })) {
      said += choices[0]?.text ?? '';
    }
    assert.equal(said, 'one two');
    upstream.answer(stream(responseStream(['one', ' two'])));
    const events = client.responses.stream({ model, input: 'a' });
    let deltas = '';
    events.on('response.output_text.delta', ({ delta }) => {
      deltas += delta;
    });
    assert.equal((await events.finalResponse()).output_text, 'one two');
    assert.equal(deltas, 'one two');
    upstream.answer(json(responseOf('in one piece')));
    const replayed = await client.responses.stream({ model, input: 'a' }).finalResponse();
    assert.equal(replayed.output_text, 'in one piece');
    upstream.answer(cutStream(responseStream(['one', ' two']).slice(0, 4)));
    await assert.rejects(client.responses.stream({ model, input: 'a' }).finalResponse(), OpenAI.APIError);
  });

  it('throws its own errors', async (t) => {
    const { client, upstream } = await clientFor(t);
    const ask = (model: string): Promise<unknown> =>
      client.chat.completions.create({ model, messages: MESSAGES }) as Promise<unknown>;
    await assert.rejects(ask('nope'), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
      return true;
    });
    await assert.rejects(ask(''), OpenAI.BadRequestError);
    upstream.answer(json({ error: { message: 'slow down' } }, 429));
    await assert.rejects(ask('gpt-4o'), OpenAI.RateLimitError);
    upstream.answer(json({ error: { message: 'down' } }, 500));
    await assert.rejects(ask('gpt-4o'), OpenAI.InternalServerError);
  });

  it('throws when a stream is cut, and yields no half chunk', async (t) => {
    const whole = chatStream(['one', ' two']).join('');
    const { client } = await clientFor(t, cutStream([whole.slice(0, whole.indexOf(' two') + 2)]));
    let text = '';
    await assert.rejects(
      async () => {
        const chunks = await client.chat.completions.create({
          model: 'gpt-4o',
          messages: MESSAGES,
          stream: true,
        });
        for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? '';
      },
      (error) => error instanceof OpenAI.APIError && error.code === 'upstream_error',
    );
    assert.equal(text, 'one');
  });

  it('aborts the upstream with its own abort', async (t) => {
    const { client, upstream } = await clientFor(t, silence);
    const controller = new AbortController();
    const next = upstream.nextRequest();
    const answer = client.chat.completions.create(
      { model: 'gpt-4o', messages: MESSAGES },
      { signal: controller.signal },
    );
    const request = await next;
    controller.abort();
    await assert.rejects(answer as Promise<unknown>, OpenAI.APIUserAbortError);
    await request.aborted;
  });
});

async function clientFor(
  t: TestContext,
  script?: Script,
): Promise<{ readonly client: OpenAI; readonly upstream: Upstream }> {
  const upstream = await startUpstream(...(script === undefined ? [] : [script]));
  t.after(() => upstream.close());
  const { url } = await serve(t, {
    deployments: [
      deployment(upstream.url),
      deployment(null, { id: 'echo/0', group: 'echo', provider: 'echo', model: 'echo' }),
    ],
  });
  return { client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }), upstream };
}
