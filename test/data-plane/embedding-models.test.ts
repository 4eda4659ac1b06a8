import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { EmbeddingModelV4, EmbeddingModelV4CallOptions } from '@ai-sdk/provider';
import OpenAI from 'openai';
import { deployment, postTo, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline, providing } from '../support/pipeline.ts';

const KEY = 'test-key-0123456789';

describe("/v1/embeddings of a provider's embedding model", () => {
  it('answers in the shape of the API, as the official client asks', async (t) => {
    const { url, calls } = await gateway(t);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const { data, model, usage } = await client.embeddings.create({ model: 'embed', input: ['ab', 'c'] });
    assert.deepEqual(
      data.map(({ index, embedding }) => [index, embedding]),
      [
        [0, [2, -0.5]],
        [1, [1, -0.5]],
      ],
    );
    assert.deepEqual([model, usage], ['embed', { prompt_tokens: 3, total_tokens: 3 }]);
    assert.deepEqual(calls[0]?.values, ['ab', 'c']);
  });

  it('takes one text, a number of dimensions, and floats', async (t) => {
    const { url, calls } = await gateway(t);
    const body = '{"model":"embed","input":"a","dimensions":2,"encoding_format":"float","user":"u"}';
    const answer = (await (await postTo(url, '/v1/embeddings', body)).json()) as { data: object[] };
    assert.deepEqual(answer.data, [{ object: 'embedding', index: 0, embedding: [1, -0.5] }]);
    assert.deepEqual([calls[0]?.values, calls[0]?.dimensions], [['a'], 2]);
  });

  it('asks in batches where the model takes few at a time', async (t) => {
    const input = Array.from({ length: 25 }, (_, index) => 'x'.repeat(index + 1));
    for (const supportsParallelCalls of [true, false]) {
      const { url, calls } = await gateway(t, { maxEmbeddingsPerCall: 2, supportsParallelCalls });
      const response = await postTo(url, '/v1/embeddings', JSON.stringify({ model: 'embed', input }));
      const { data } = (await response.json()) as { data: { embedding: number[] }[] };
      assert.deepEqual(
        data.map(({ embedding }) => embedding[0]),
        input.map(({ length }) => length),
      );
      assert.equal(calls.length, 13);
    }
  });

  it('refuses what it could not pass on, and names it', async (t) => {
    const { url, calls } = await gateway(t);
    for (const [fields, param] of [
      ['"input":[[1,2]]', 'input'],
      ['"input":[]', 'input'],
      ['"user":"u"', 'input'],
      ['"input":"a","truncate":true', 'truncate'],
      ['"input":"a","encoding_format":"int8"', 'encoding_format'],
      ['"input":"a","dimensions":0', 'dimensions'],
    ] as const) {
      const response = await postTo(url, '/v1/embeddings', `{"model":"embed",${fields}}`);
      const { error } = (await response.json()) as { error: { param: string } };
      assert.deepEqual([response.status, error.param], [400, param]);
    }
    assert.equal(calls.length, 0);
  });

  it('refuses what the model says it has passed over', async (t) => {
    const { url } = await gateway(t, {
      doEmbed: async ({ values }) => ({
        embeddings: values.map(() => [1]),
        warnings: [{ type: 'unsupported', feature: 'dimensions' }],
      }),
    });
    const response = await postTo(url, '/v1/embeddings', '{"model":"embed","input":"a","dimensions":9}');
    const { error } = (await response.json()) as { error: { param: string } };
    assert.deepEqual([response.status, error.param], [400, 'dimensions']);
  });

  it("judges the upstream's errors by their status, without leaking the key", async (t) => {
    const cases: [Record<string, unknown>, number, string][] = [
      [{ statusCode: 400, responseBody: '{"error":{"message":"too long"}}' }, 400, 'invalid_request'],
      [{ statusCode: 401, responseBody: `{"error":{"message":"bad ${KEY}"}}` }, 502, 'upstream_error'],
      [{ statusCode: 429, responseHeaders: { 'Retry-After': '7' } }, 429, 'rate_limit_exceeded'],
      [{ statusCode: 500, responseBody: `{"error":{"message":"oops ${KEY}"}}` }, 502, 'upstream_error'],
      [{ statusCode: 200 }, 502, 'upstream_error'],
      [{}, 502, 'upstream_error'],
      [{ name: 'AI_LoadAPIKeyError' }, 502, 'upstream_error'],
      [{ name: 'AI_UnsupportedFunctionalityError' }, 400, 'invalid_request'],
      [{ name: 'AI_NoSuchModelError' }, 404, 'model_not_found'],
      [{ name: 'AI_TypeValidationError' }, 502, 'upstream_error'],
    ];
    for (const [fields, status, code] of cases) {
      const error = Object.assign(new Error(`secret ${KEY}`), { name: 'AI_APICallError', ...fields });
      const { url } = await gateway(t, { doEmbed: () => Promise.reject(error) });
      const response = await postTo(url, '/v1/embeddings', '{"model":"embed","input":"a"}');
      const text = await response.text();
      assert.deepEqual([response.status, JSON.parse(text).error.code], [status, code], text);
      assert.ok(!text.includes(KEY));
      if (status === 429) assert.equal(response.headers.get('retry-after'), '7');
    }
  });

  it('aborts the model when the client is gone', async (t) => {
    const { promise: aborted, resolve } = Promise.withResolvers<void>();
    const { promise: asked, resolve: begin } = Promise.withResolvers<void>();
    const { url } = await gateway(t, {
      doEmbed: ({ abortSignal }) => {
        abortSignal?.addEventListener('abort', () => resolve());
        begin();
        return new Promise(() => undefined);
      },
    });
    const controller = new AbortController();
    const answer = postTo(url, '/v1/embeddings', '{"model":"embed","input":"a"}', {}, controller.signal);
    await asked;
    controller.abort();
    await assert.rejects(answer);
    await aborted;
  });
});

async function gateway(
  t: TestContext,
  fields: Partial<EmbeddingModelV4> = {},
): Promise<ServedPlane & { readonly calls: EmbeddingModelV4CallOptions[] }> {
  const calls: EmbeddingModelV4CallOptions[] = [];
  const model: EmbeddingModelV4 = {
    specificationVersion: 'v4',
    provider: 'acme',
    modelId: 'm',
    maxEmbeddingsPerCall: undefined,
    supportsParallelCalls: true,
    async doEmbed(options) {
      calls.push(options);
      const { values } = options;
      const tokens = values.join('').length;
      return { embeddings: values.map(({ length }) => [length, -0.5]), usage: { tokens }, warnings: [] };
    },
    ...fields,
  };
  const served = await serve(t, {
    deployments: [deployment(null, { group: 'embed', provider: 'acme' })],
    pipeline: emptyPipeline({
      providers: new Map([['acme', providing({ embeddingModel: async () => model })]]),
    }),
  });
  return { ...served, calls };
}
