import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { LlmRequest, LlmResponse } from '../../src/plugin-api/llm.ts';
import { deployment, type PlaneSetup, postTo, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline, providing } from '../support/pipeline.ts';
import { json, type Script, startUpstream, text, type Upstream } from '../support/upstream.ts';

/** Surface, fields of its request, an answer as an upstream writes it, the answer's text and its tokens. */
const SURFACES: readonly [
  path: string,
  surface: string,
  request: object,
  answer: string,
  text: string,
  tokens: readonly [prompt: number, completion: number, total: number] | null,
][] = [
  [
    '/v1/completions',
    'completions',
    { prompt: 'Say it' },
    '{ "object":"text_completion", "choices":[ {"index":0,"text":"one","logprobs":null,"finish_reason":"stop"},{"index":1,"text":"two"}], "usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}, "n":1.0 }',
    'one\ntwo',
    [2, 3, 5],
  ],
  [
    '/v1/embeddings',
    'embeddings',
    { input: ['a', 'b'], encoding_format: 'float' },
    '{ "object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0, -0.0,1e-9]}],"usage":{"prompt_tokens":8,"total_tokens":8} }',
    '',
    [8, 0, 8],
  ],
  [
    '/v1/moderations',
    'moderations',
    { input: 'text' },
    '{ "id":"modr-1","results":[{"flagged":false,"category_scores":{"hate":1.0e-7}}] }',
    '',
    null,
  ],
  [
    '/v1/images/generations',
    'images.generations',
    { prompt: 'a fox', n: 1 },
    '{ "created":1,"data":[{"b64_json":"aGk=","revised_prompt":"a red fox"}],"usage":{"input_tokens":4,"output_tokens":100,"total_tokens":104} }',
    'a red fox',
    [4, 100, 104],
  ],
  [
    '/v1/rerank',
    'rerank',
    { query: 'q', documents: ['x', 'y'] },
    '{ "results":[{"index":1,"relevance_score":0.90,"document":{"text":"y"}},{"index":0,"relevance_score":0.1,"document":"x"}],"usage":{"total_tokens":15} }',
    'y\nx',
    [15, 0, 15],
  ],
  [
    '/v1/responses',
    'responses',
    { input: 'Hello' },
    '{ "id":"resp_1","object":"response","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"},{"type":"refusal","refusal":"no"}]},{"type":"function_call","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3} }',
    'hm\nHi\nno\n{}',
    [1, 2, 3],
  ],
];

for (const [path, surface, fields, answer, said, tokens] of SURFACES) {
  const usage =
    tokens === null ? null : { promptTokens: tokens[0], completionTokens: tokens[1], totalTokens: tokens[2] };

  describe(`POST ${path}`, () => {
    it('passes request and answer through byte for byte, to the same path of the upstream', async (t) => {
      const { url, upstream } = await gateway(t, text(answer, 200, 'application/json'));
      const body = `{"model" :"gpt-4o", "x_unknown": 1.0, ${JSON.stringify(fields).slice(1)}`;
      const response = await postTo(url, path, body);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), answer);
      assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/0');
      assert.equal(upstream.requests[0]?.path, path);
      assert.equal(upstream.requests[0]?.body.toString(), body);
    });

    it("writes the deployment's name of the model into the request, and nothing else", async (t) => {
      const { url, upstream } = await gateway(t, text(answer, 200, 'application/json'), {
        deployments: (base) => [deployment(base, { model: 'other' })],
      });
      await postTo(url, path, `{"n": 1.0,"model":"gpt-4o"}`);
      assert.equal(upstream.requests[0]?.body.toString(), `{"n": 1.0,"model":"other"}`);
    });

    it('runs hooks and evaluators with its own bodies, its text and its usage', async (t) => {
      const seen: string[] = [];
      const note = (request: LlmRequest, response: LlmResponse): void => {
        assert.deepEqual(response.body, JSON.parse(answer));
        seen.push(`${request.surface} ${response.text} ${JSON.stringify(response.usage)}`);
      };
      const { url, upstream } = await gateway(t, text(answer, 200, 'application/json'), {
        llm: {
          onRequest: async (request) => ({
            request: { ...request, body: { ...request.body, user: 'gateway' } },
            response: null,
          }),
          onResponse: async (request, response) => {
            note(request, response);
            return response;
          },
          evaluateOutput: async (request, response) => void note(request, response),
        },
      });
      const response = await postTo(url, path, JSON.stringify({ model: 'gpt-4o', ...fields }));
      assert.equal(await response.text(), answer);
      assert.deepEqual(JSON.parse(String(upstream.requests[0]?.body)), {
        model: 'gpt-4o',
        ...fields,
        user: 'gateway',
      });
      const line = `${surface} ${said} ${JSON.stringify(usage)}`;
      assert.deepEqual(seen, [line, line]);
    });

    it('is recorded under its name, with its usage', async (t) => {
      const records: CallRecord[] = [];
      const { url } = await gateway(t, text(answer, 200, 'application/json'), {
        export: (record) => void records.push(record),
      });
      await postTo(url, path, JSON.stringify({ model: 'gpt-4o', ...fields }));
      assert.equal(records[0]?.surface, surface);
      assert.deepEqual(records[0]?.usage, usage);
    });

    it('is limited by the models of a key, and errs as all surfaces do', async (t) => {
      const { url, upstream } = await gateway(t, json({ error: { message: 'bad input' } }, 400), {
        identity: { id: 'ci', models: ['gpt-4o'] },
      });
      assert.deepEqual(await errorOf(await postTo(url, path, '{"model":"other"}')), [
        403,
        'permission_error',
      ]);
      assert.deepEqual(await errorOf(await postTo(url, path, '{"model":1}')), [400, 'invalid_request']);
      assert.deepEqual(await errorOf(await postTo(url, path, '{"model":"gpt-4o"}')), [
        400,
        'invalid_request',
      ]);
      upstream.answer(text(answer.slice(0, -9), 200, 'application/json'));
      assert.deepEqual(await errorOf(await postTo(url, path, '{"model":"gpt-4o"}')), [502, 'upstream_error']);
    });
  });
}

describe('a surface without streams', () => {
  it('refuses to stream, and takes stream: false', async (t) => {
    const { url } = await gateway(t, json({ data: [] }));
    for (const path of ['/v1/embeddings', '/v1/moderations', '/v1/rerank']) {
      const refused = await postTo(url, path, '{"model":"gpt-4o","stream":true}');
      assert.deepEqual(await errorOf(refused), [400, 'invalid_request']);
      assert.equal((await postTo(url, path, '{"model":"gpt-4o","stream":false}')).status, 200);
    }
  });

  it('takes no stream from an upstream either', async (t) => {
    const { url } = await gateway(t, text('data: [DONE]\n\n', 200, 'text/event-stream'));
    const response = await postTo(url, '/v1/embeddings', '{"model":"gpt-4o"}');
    assert.deepEqual(await errorOf(response), [502, 'upstream_error']);
  });
});

describe('a request that names no model', () => {
  it("means OpenAI's default where its reference has one", async (t) => {
    for (const [path, group] of [
      ['/v1/moderations', 'omni-moderation-latest'],
      ['/v1/images/generations', 'dall-e-2'],
    ] as const) {
      for (const [model, sent] of [
        [group, '{ "input":"x"}'],
        ['other', '{"model":"other", "input":"x"}'],
      ] as const) {
        const { url, upstream } = await gateway(t, json({}), {
          deployments: (base) => [deployment(base, { group, model })],
        });
        const response = await postTo(url, path, '{ "input":"x"}');
        assert.equal(response.headers.get('x-llmrouter-deployment'), `${group}/0`);
        assert.equal(upstream.requests[0]?.body.toString(), sent);
        await postTo(url, path, '{}');
        await postTo(url, path, '{"model": null}');
        const named = model === group ? '' : '"model":"other"';
        assert.equal(upstream.requests[1]?.body.toString(), `{${named}}`);
        assert.equal(
          upstream.requests[2]?.body.toString(),
          model === group ? '{"model": null}' : '{"model": "other"}',
        );
      }
    }
  });

  it('is refused everywhere else', async (t) => {
    const { url } = await gateway(t, json({}));
    for (const path of ['/v1/completions', '/v1/embeddings', '/v1/responses', '/v1/rerank']) {
      assert.deepEqual(await errorOf(await postTo(url, path, '{}')), [400, 'invalid_request']);
    }
  });
});

describe('a model whose provider has chat completions only', () => {
  const provider = providing({ chat: async () => ({ status: 200, headers: {}, body: '{}' }) });
  const echo = deployment(null, { id: 'echo/0', group: 'echo', provider: 'echo', model: 'echo' });

  it('is not found on other surfaces, with a message that says why', async (t) => {
    const { url } = await serve(t, {
      deployments: [echo, deployment(null, { group: 'acme', provider: 'acme' })],
      pipeline: emptyPipeline({ providers: new Map([['acme', provider]]) }),
    });
    for (const [path] of SURFACES.filter(([, surface]) => surface !== 'responses')) {
      for (const model of ['echo', 'acme']) {
        const response = await postTo(url, path, JSON.stringify({ model }));
        assert.equal(response.status, 404);
        assert.equal(response.headers.get('x-llmrouter-attempts'), '0');
        const { error } = (await response.json()) as { error: Record<string, unknown> };
        assert.deepEqual([error.code, error.param], ['model_not_found', 'model']);
        assert.match(String(error.message), new RegExp(`"${model}" does not serve ${path}: .* provider`));
      }
    }
  });

  it('leaves its group to the deployments that serve the surface', async (t) => {
    const { url } = await gateway(t, json({ data: [] }), {
      deployments: (base) => [
        { ...echo, group: 'mixed', weight: 1000 },
        deployment(base, { id: 'mixed/1', group: 'mixed' }),
      ],
    });
    const response = await postTo(url, '/v1/embeddings', '{"model":"mixed"}');
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'mixed/1');
  });
});

interface Setup extends Pick<PlaneSetup, 'identity'> {
  readonly deployments?: (base: string) => PlaneSetup['deployments'];
  readonly llm?: Partial<LlmPhases>;
  readonly export?: (record: CallRecord) => void;
}

async function gateway(
  t: TestContext,
  script: Script,
  { deployments = (base) => [deployment(base)], llm = {}, export: exporter, identity = null }: Setup = {},
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const served = await serve(t, {
    deployments: deployments(upstream.url) ?? [],
    identity,
    pipeline: emptyPipeline({ llm, export: exporter ?? null }),
  });
  return { ...served, upstream };
}

async function errorOf(response: Response): Promise<[status: number, code: string]> {
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code];
}
