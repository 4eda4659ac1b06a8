import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { LlmRequest } from '../../src/plugin-api/llm.ts';
import { chat, deployment, post, postTo, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const HEADERS = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'vendor=1' };
const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

describe('the trace of a call', () => {
  it('is the same for the upstream, for hooks and in the record', async (t) => {
    const { url, upstream, records, seen } = await traced(t, { exports: true });
    await post(url, chat(), HEADERS);
    const trace = records[0]?.trace ?? assert.fail('no trace');
    assert.deepEqual([trace.traceId, trace.parentSpanId, trace.state], [TRACE, PARENT, 'vendor=1']);
    assert.deepEqual(seen[0]?.trace, trace);
    assert.equal(upstream.requests[0]?.headers.traceparent, `00-${TRACE}-${trace.spanId}-01`);
    assert.equal(upstream.requests[0]?.headers.tracestate, 'vendor=1');
  });

  it('crosses to an upstream of another dialect', async (t) => {
    const { url, upstream } = await traced(t, { exports: false });
    const body = { model: 'gpt-4o', max_tokens: 9, messages: [{ role: 'user', content: 'Hello' }] };
    await postTo(url, '/v1/messages', JSON.stringify(body), HEADERS);
    assert.match(String(upstream.requests[0]?.headers.traceparent), new RegExp(`^00-${TRACE}-`));
  });

  it('begins in the gateway when an exporter will tell of it', async (t) => {
    const { url, upstream, records } = await traced(t, { exports: true });
    await post(url, chat());
    const trace = records[0]?.trace ?? assert.fail('no trace');
    assert.equal(trace.parentSpanId, null);
    assert.equal(upstream.requests[0]?.headers.traceparent, `00-${trace.traceId}-${trace.spanId}-01`);
  });

  it('does not begin when nobody will', async (t) => {
    const { url, upstream, seen } = await traced(t, { exports: false });
    await post(url, chat(), { traceparent: 'not a trace', tracestate: 'vendor=1' });
    assert.equal(seen[0]?.trace, null);
    const { traceparent, tracestate } = upstream.requests[0]?.headers ?? {};
    assert.deepEqual([traceparent, tracestate], [undefined, undefined]);
  });
});

interface Traced {
  readonly url: string;
  readonly upstream: Upstream;
  readonly records: readonly CallRecord[];
  readonly seen: readonly LlmRequest[];
}

async function traced(t: TestContext, { exports }: { readonly exports: boolean }): Promise<Traced> {
  const upstream = await startUpstream(json(COMPLETION));
  t.after(() => upstream.close());
  const records: CallRecord[] = [];
  const seen: LlmRequest[] = [];
  const empty = emptyPipeline();
  const pipeline = {
    ...empty,
    llm: {
      ...empty.llm,
      onRequest: async (request: LlmRequest) => {
        seen.push(request);
        return { request, response: null };
      },
    },
    export: exports ? (record: CallRecord) => void records.push(record) : null,
  };
  const { url } = await serve(t, { deployments: [deployment(upstream.url)], pipeline });
  return { url, upstream, records, seen };
}
