import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { deployment, postTo, serve } from '../support/data-plane.ts';
import { json, startUpstream, type UpstreamRequest } from '../support/upstream.ts';

const BODY = '{"model":"gpt-4o","input":"x"}';

describe("OpenAI's API on Azure", () => {
  it('has the paths of a deployment, and the version that is configured', async (t) => {
    for (const [path, expected] of [
      ['/v1/chat/completions', '/openai/deployments/gpt%204o/chat/completions?api-version=2024-10-21'],
      ['/v1/embeddings', '/openai/deployments/gpt%204o/embeddings?api-version=2024-10-21'],
      ['/v1/responses', '/openai/responses?api-version=2024-10-21'],
    ] as const) {
      assert.equal((await ask(t, path, '')).request?.path, expected);
    }
    const { request } = await ask(t, '/v1/chat/completions', '/openai', '2025-01-01-preview');
    assert.match(request?.path ?? '', /^\/openai\/deployments\/.*\?api-version=2025-01-01-preview$/);
  });

  it("has OpenAI's own paths in its version 1", async (t) => {
    const { request } = await ask(t, '/v1/chat/completions', '/openai/v1');
    assert.equal(request?.path, '/openai/v1/chat/completions');
  });

  it('gets its key in a header of its own', async (t) => {
    const { request } = await ask(t, '/v1/chat/completions', '');
    assert.equal(request?.headers['api-key'], 'test-key-0123456789');
    assert.equal(request?.headers.authorization, undefined);
  });

  it('answers 404 for what it does not have', async (t) => {
    assert.equal((await ask(t, '/v1/rerank', '')).status, 404);
  });
});

async function ask(
  t: TestContext,
  path: string,
  base: string,
  apiVersion: string | null = null,
): Promise<{ readonly status: number; readonly request: UpstreamRequest | undefined }> {
  const upstream = await startUpstream(json({}));
  t.after(() => upstream.close());
  const { url } = await serve(t, {
    deployments: [
      deployment(new URL(upstream.url).origin + base, { provider: 'azure', model: 'gpt 4o', apiVersion }),
    ],
  });
  const { status } = await postTo(url, path, BODY);
  return { status, request: upstream.requests[0] };
}
