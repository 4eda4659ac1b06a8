import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import { dataOf, deployment, postTo, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { typed } from '../support/streams.ts';
import { cutStream, json, type Script, startUpstream, stream, type Upstream } from '../support/upstream.ts';

const PATH = '/v1/images/generations';
const ASK = '{"model":"gpt-image-1","prompt":"a fox","stream":true,"partial_images":1}';
/** Larger than what one read of a socket brings. */
const IMAGE = 'aGk='.repeat(400_000);
const USAGE = { input_tokens: 4, output_tokens: 100, total_tokens: 104 };

const PARTS = [
  typed('image_generation.partial_image', { b64_json: IMAGE, created_at: 1, partial_image_index: 0 }),
  typed('image_generation.completed', { b64_json: IMAGE, created_at: 2, quality: 'high', usage: USAGE }),
];

describe('a stream of /v1/images/generations', () => {
  it('reaches the client byte for byte and tells its usage', async (t) => {
    const records: CallRecord[] = [];
    const { url } = await gateway(t, stream(PARTS), {}, (record) => void records.push(record));
    assert.equal(await (await postTo(url, PATH, ASK)).text(), PARTS.join(''));
    assert.deepEqual(records[0]?.usage, { promptTokens: 4, completionTokens: 100, totalTokens: 104 });
  });

  it('that ends before its image ends in an error event', async (t) => {
    for (const script of [stream(PARTS.slice(0, 1)), cutStream(PARTS.slice(0, 1))]) {
      const { url } = await gateway(t, script);
      const last = dataOf(await (await postTo(url, PATH, ASK)).text()).at(-1) ?? '';
      assert.equal(JSON.parse(last).error.code, 'upstream_error');
    }
  });

  it('is put together for those who read the answer', async (t) => {
    const bodies: object[] = [];
    const { url } = await gateway(t, stream(PARTS), {
      evaluateOutput: async (_request, { body }) => void bodies.push(body),
    });
    assert.equal(await (await postTo(url, PATH, ASK)).text(), PARTS.join(''));
    assert.deepEqual(bodies, [{ created: 2, data: [{ b64_json: IMAGE }], quality: 'high', usage: USAGE }]);
  });

  it('is made of an answer in one piece', async (t) => {
    const { url } = await gateway(t, json({ created: 2, data: [{ b64_json: 'aGk=' }], usage: USAGE }));
    const [last] = dataOf(await (await postTo(url, PATH, ASK)).text());
    assert.deepEqual(JSON.parse(last ?? ''), {
      type: 'image_generation.completed',
      created_at: 2,
      b64_json: 'aGk=',
      usage: USAGE,
    });
  });

  it('has one image: more are refused rather than lost', async (t) => {
    const { url, upstream } = await gateway(t, stream(PARTS));
    const refused = await postTo(url, PATH, ASK.replace('{', '{"n":2,'));
    assert.equal(refused.status, 400);
    assert.equal(((await refused.json()) as { error: { param: string } }).error.param, 'n');
    assert.equal(upstream.requests.length, 0);
  });
});

async function gateway(
  t: TestContext,
  script: Script,
  llm: Partial<LlmPhases> = {},
  exporter: ((record: CallRecord) => void) | null = null,
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const served = await serve(t, {
    deployments: [deployment(upstream.url, { group: 'gpt-image-1' })],
    pipeline: emptyPipeline({ llm, export: exporter }),
  });
  return { ...served, upstream };
}
