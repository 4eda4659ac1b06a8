import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  type GatewayProcess,
  type GatewayProcessOptions,
  startGateway,
} from '../../../test/support/gateway-process.ts';
import { json, type Script, startUpstream, type Upstream } from '../../../test/support/upstream.ts';

const PLUGIN = join(import.meta.dirname, '..');
const KEY = 'AIza-test-0123456789';
const EMBEDDING = '{"model":"embed","input":"Hello"}';

describe('providers-ai-sdk', () => {
  it('serves embeddings of a package, with key, address and headers of the deployment', async (t) => {
    const { gateway, upstream } = await start(t, json({ embedding: { values: [0.5, -1] } }), {
      model: 'google/gemini-embedding-001',
      params: ', extra_headers: { x-tenant: blue }',
    });
    const response = await embed(gateway);
    const body = (await response.json()) as { data: { embedding: number[] }[]; model: string };
    assert.equal(response.status, 200, JSON.stringify(body));
    assert.deepEqual([body.data[0]?.embedding, body.model], [[0.5, -1], 'embed']);
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'embed/0');
    const [request] = upstream.requests;
    assert.match(request?.path ?? '', /\/models\/gemini-embedding-001:embedContent$/);
    assert.equal(request?.headers['x-goog-api-key'], KEY);
    assert.equal(request?.headers['x-tenant'], 'blue');
  });

  it('takes a package by its name, and options for its function', async (t) => {
    const answer = { id: '1', texts: ['Hello'], embeddings: { float: [[1, 2]] }, meta: billed(3) };
    const { gateway, upstream } = await start(t, json(answer), {
      model: 'acme/embed-v4.0',
      providers:
        "{ acme: { package: '@ai-sdk/cohere', factory: createCohere, options: { headers: { x-a: b } } } }",
    });
    const body = (await (await embed(gateway)).json()) as { data: object[]; usage: object };
    assert.deepEqual(body.data, [{ object: 'embedding', index: 0, embedding: [1, 2] }]);
    assert.deepEqual(body.usage, { prompt_tokens: 3, total_tokens: 3 });
    assert.equal(upstream.requests[0]?.headers['x-a'], 'b');
  });

  it("answers the upstream's refusals by their status, and is not blamed for them", async (t) => {
    const { gateway, upstream } = await start(t, json({}), {
      model: 'google/gemini-embedding-001',
      providers: '{ google: {} }',
      env: { LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1' },
    });
    for (const [status, expected] of [
      [400, 400],
      [401, 502],
      [429, 429],
      [500, 502],
    ] as const) {
      upstream.answer(json({ error: { code: status, message: `no: ${KEY}`, status: 'X' } }, status));
      const response = await embed(gateway);
      assert.equal(response.status, expected);
      assert.ok(!(await response.text()).includes(KEY));
    }
    upstream.answer(json({ embedding: { values: [1] } }));
    assert.equal((await embed(gateway)).status, 200);
    assert.ok(!gateway.lines.join('\n').includes(KEY));
  });

  it('keeps every other address within the outbound policy', async (t) => {
    const other = await startUpstream(json({ embedding: { values: [1] } }));
    t.after(() => other.close());
    const { gateway, upstream } = await start(t, json({}), {
      model: 'google/gemini-embedding-001',
      providers: '{ google: {} }',
    });
    upstream.answer((_request, res) => void res.writeHead(307, { location: `${other.url}/x` }).end());
    const response = await embed(gateway);
    assert.equal(response.status, 403);
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'ssrf_blocked');
    assert.equal(other.requests.length, 0);
  });

  it('says what to install when a package is missing, and what is wrong with a setting', async (t) => {
    for (const [providers, words] of [
      [
        "{ x: { package: '@ai-sdk/none-such' } }",
        'npm install --prefix plugins/providers-ai-sdk @ai-sdk/none-such',
      ],
      ["{ x: { package: 'undici' } }", 'has 0 functions whose names begin with "create"'],
      ["{ x: { package: '@ai-sdk/cohere', factory: nope } }", 'has no function "nope"'],
      ['{ x: {} }', 'providers.x: got no package'],
      ["{ x: { package: '../evil' } }", 'package'],
    ]) {
      const { gateway } = await start(t, json({}), { model: 'x/y', providers: providers as string });
      const line = gateway.log.find(
        ({ event, plugin, to }) =>
          event === 'plugin_transition' && plugin === 'providers-ai-sdk' && to === 'failed',
      );
      assert.ok(
        JSON.stringify(line)?.includes(JSON.stringify(words).slice(1, -1)),
        JSON.stringify(line ?? gateway.log),
      );
    }
  });

  it('stays inactive until the configuration names one of its providers', async (t) => {
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS: PLUGIN, LLMROUTER_ADMIN_KEY: 'k'.repeat(16) },
    });
    const response = await fetch(`${gateway.url}/admin/plugins/providers-ai-sdk`, {
      headers: { authorization: `Bearer ${'k'.repeat(16)}` },
    });
    assert.equal(((await response.json()) as { state: string }).state, 'inactive');
  });
});

interface Setup extends Pick<GatewayProcessOptions, 'env'> {
  readonly model: string;
  /** YAML in flow style. */
  readonly providers?: string;
  readonly params?: string;
}

async function start(
  t: TestContext,
  script: Script,
  { model, providers = '{}', params = '', env = {} }: Setup,
): Promise<{ readonly gateway: GatewayProcess; readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const gateway = await startGateway(t, {
    env: { LLMROUTER_PLUGINS: PLUGIN, ...env },
    files: {
      'gateway.yaml': `model_list:
  - model_name: embed
    litellm_params: { model: ${model}, api_key: ${KEY}, api_base: '${upstream.url}'${params} }
router_settings: { num_retries: 0, allowed_fails: 100 }
${providers === '{}' ? '' : `plugins: { providers-ai-sdk: { providers: ${providers} } }`}
`,
    },
  });
  return { gateway, upstream };
}

function embed(gateway: GatewayProcess): Promise<Response> {
  return fetch(`${gateway.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: EMBEDDING,
  });
}

function billed(tokens: number): object {
  return { billed_units: { input_tokens: tokens } };
}
