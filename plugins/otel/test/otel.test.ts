import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { chat, post } from '../../../test/support/data-plane.ts';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';
import { chatStream, json, startUpstream, stream, type Upstream } from '../../../test/support/upstream.ts';
import { type CollectedPoint, type Collector, startCollector } from './collector.ts';

const PLUGIN = join(import.meta.dirname, '..');
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
/** The end of the gateway alone makes a delivery. */
const NEVER = '3600000';
const CLIENT = 3;
const ERROR = 2;

describe('otel: traces', () => {
  it('has a span of each call in the trace of its client, with the id that the upstream got', async (t) => {
    const { gateway, collector, upstream } = await start(t);
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    await post(gateway.url, chat(), { traceparent, tracestate: 'vendor=1' });
    assert.equal(await gateway.stop(), 0);
    const [span, ...others] = collector.spans;
    assert.ok(span !== undefined && others.length === 0);
    const { resource, attributes, milliseconds, ...rest } = span;
    assert.deepEqual(rest, {
      traceId: TRACE,
      spanId: String(upstream.requests[0]?.headers.traceparent).split('-')[2],
      parentSpanId: PARENT,
      traceState: 'vendor=1',
      name: 'chat gpt-4o',
      kind: CLIENT,
      status: {},
    });
    assert.ok(milliseconds > 0);
    assert.equal(resource['service.name'], 'routeiq-gateway');
    assert.equal(resource['deployment.environment.name'], 'test');
    assert.match(String(resource['service.instance.id']), /^[0-9a-f-]{36}$/);
    assert.match(String(attributes['llmrouter.request.id']), /./);
    assert.deepEqual(
      { ...attributes, 'llmrouter.request.id': '', 'llmrouter.cost.usd': 0 },
      {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'gpt-4o',
        'gen_ai.response.model': 'gpt-4o-2024',
        'gen_ai.request.stream': false,
        'gen_ai.usage.input_tokens': 9,
        'gen_ai.usage.output_tokens': 3,
        'http.response.status_code': 200,
        'llmrouter.request.id': '',
        'llmrouter.surface': 'chat.completions',
        'llmrouter.attempts': 1,
        'llmrouter.deployment': attributes['llmrouter.deployment'],
        'llmrouter.cost.usd': 0,
      },
    );
    assert.ok(Math.abs(Number(attributes['llmrouter.cost.usd']) - 0.15) < 1e-9);
  });

  it('tells of failures by the code that the client got', async (t) => {
    const { gateway, collector, upstream } = await start(t);
    upstream.answer(json({ error: { message: 'slow down' } }, 429));
    await post(gateway.url, chat());
    await gateway.stop();
    const [span] = collector.spans;
    assert.equal(span?.status.code, ERROR);
    assert.equal(span?.attributes['error.type'], 'rate_limit_exceeded');
    assert.equal(span?.attributes['http.response.status_code'], 429);
    assert.equal(span?.parentSpanId, '');
  });

  it('leaves out what the client does not record, and counts it all the same', async (t) => {
    const { gateway, collector } = await start(t);
    await post(gateway.url, chat(), { traceparent: `00-${TRACE}-${PARENT}-00` });
    await gateway.stop();
    assert.deepEqual(collector.spans, []);
    assert.equal(point(collector, 'gen_ai.client.operation.duration')?.count, 1);
  });

  it('says nothing of what was asked and answered', async (t) => {
    const { gateway, collector } = await start(t);
    await post(gateway.url, chat({ messages: [{ role: 'user', content: 'a secret plan' }] }));
    await gateway.stop();
    assert.doesNotMatch(JSON.stringify([collector.spans, collector.points()]), /secret plan|from upstream/);
  });
});

describe('otel: metrics', () => {
  it('has durations, tokens and cost by model, with the bounds of the conventions', async (t) => {
    const { gateway, collector } = await start(t);
    for (let n = 0; n < 3; n++) await post(gateway.url, chat());
    await gateway.stop();
    const duration = point(collector, 'gen_ai.client.operation.duration');
    assert.deepEqual([duration?.count, duration?.unit, duration?.bounds.length], [3, 's', 14]);
    assert.deepEqual(duration?.attributes, {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-4o',
      'gen_ai.response.model': 'gpt-4o-2024',
    });
    const tokens = collector.points().filter(({ name }) => name === 'gen_ai.client.token.usage');
    assert.deepEqual(
      tokens.map(({ attributes, sum, count }) => [attributes['gen_ai.token.type'], sum, count]),
      [
        ['input', 27, 3],
        ['output', 9, 3],
      ],
    );
    assert.ok(Math.abs((point(collector, 'llmrouter.cost')?.sum ?? 0) - 0.45) < 1e-9);
  });

  it('has the time to the first token of streams, and the time per further one', async (t) => {
    const { gateway, collector, upstream } = await start(t);
    upstream.answer(stream(chatStream(['one', ' two'])));
    await (await post(gateway.url, chat({ stream: true }))).text();
    await gateway.stop();
    assert.equal(point(collector, 'gen_ai.server.time_to_first_token')?.count, 1);
    assert.equal(point(collector, 'gen_ai.server.time_per_output_token')?.count, 1);
  });

  it('makes no series of models that clients invent', async (t) => {
    const { gateway, collector } = await start(t);
    for (const model of ['one', 'two', 'three']) await post(gateway.url, chat({ model }));
    await gateway.stop();
    const series = collector.points().filter(({ name }) => name === 'gen_ai.client.operation.duration');
    assert.deepEqual(
      series.map(({ attributes, count }) => [attributes, count]),
      [[{ 'gen_ai.operation.name': 'chat', 'error.type': 'model_not_found' }, 3]],
    );
  });
});

describe('otel: delivery', () => {
  it('goes out while the gateway runs, with the headers that are set', async (t) => {
    const { gateway, collector } = await start(t, { intervalMs: '100' });
    const delivered = collector.nextSpans();
    await post(gateway.url, chat());
    await delivered;
    assert.equal(collector.headers[0]?.authorization, 'Bearer collector-secret');
    assert.doesNotMatch(gateway.lines.join('\n'), /collector-secret/);
  });

  it('costs no call anything when the collector is away, and says so once', async (t) => {
    const { gateway } = await start(t, { intervalMs: '100', endpoint: 'http://127.0.0.1:9' });
    for (let n = 0; n < 3; n++) assert.equal((await post(gateway.url, chat())).status, 200);
    const told = await gateway.logged(({ plugin, level }) => plugin === 'otel' && level === 'warn');
    assert.match(String(told.problem), /ECONNREFUSED/);
    const { plugins } = (await (await fetch(`${gateway.url}/readyz`)).json()) as {
      plugins: { otel: { state: string; health: string } };
    };
    assert.deepEqual([plugins.otel.state, plugins.otel.health], ['started', 'degraded']);
    assert.equal(await gateway.stop(), 0);
    assert.equal(gateway.log.filter(({ plugin, level }) => plugin === 'otel' && level === 'warn').length, 1);
  });

  it('works from a process of its own', async (t) => {
    const isolated = { LLMROUTER_PLUGINS_ISOLATION: 'process', LLMROUTER_PLUGINS_PERMISSIONS: 'otel:net' };
    const { gateway, collector } = await start(t, { env: isolated });
    await post(gateway.url, chat());
    await gateway.stop();
    assert.equal(collector.spans[0]?.name, 'chat gpt-4o');
    assert.equal(point(collector, 'gen_ai.client.operation.duration')?.count, 1);
  });
});

interface Started {
  readonly gateway: GatewayProcess;
  readonly collector: Collector;
  readonly upstream: Upstream;
}

interface Setup {
  readonly intervalMs?: string;
  readonly endpoint?: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function start(
  t: TestContext,
  { intervalMs = NEVER, endpoint, env = {} }: Setup = {},
): Promise<Started> {
  const collector = await startCollector(t);
  const upstream = await startUpstream();
  t.after(() => upstream.close());
  const gateway = await startGateway(t, {
    env: {
      LLMROUTER_PLUGINS: PLUGIN,
      LLMROUTER_PLUGIN_OTEL__ENDPOINT: endpoint ?? collector.url,
      LLMROUTER_PLUGIN_OTEL__INTERVAL_MS: intervalMs,
      LLMROUTER_PLUGIN_OTEL__TIMEOUT_MS: '1000',
      LLMROUTER_PLUGIN_OTEL__HEADERS: '{"authorization":"Bearer collector-secret"}',
      LLMROUTER_PLUGIN_OTEL__RESOURCE_ATTRIBUTES: '{"deployment.environment.name":"test"}',
      ...env,
    },
    files: { 'gateway.yaml': JSON.stringify({ model_list: [modelAt(upstream.url)] }) },
  });
  return { gateway, collector, upstream };
}

/** Its prices make 9 tokens in and 3 out cost 0.15. */
function modelAt(apiBase: string): object {
  return {
    model_name: 'gpt-4o',
    litellm_params: { model: 'openai/gpt-4o-2024', api_key: 'upstream-key', api_base: apiBase },
    model_info: { input_cost_per_token: 0.01, output_cost_per_token: 0.02 },
  };
}

function point(collector: Collector, name: string): CollectedPoint | undefined {
  return collector.points().find((each) => each.name === name);
}
