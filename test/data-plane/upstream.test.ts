import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { Secret } from '../../src/config/secret.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import { chat, deployment, post, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import {
  COMPLETION,
  chatStream,
  cutStream,
  hangUp,
  json,
  raw,
  type Script,
  silence,
  startUpstream,
  text,
  type Upstream,
} from '../support/upstream.ts';

const KEY = 'sk-live-abcdef0123456789';

describe('headers', () => {
  it("carries the deployment's key, and of the client's headers none that identifies it", async (t) => {
    const { upstream, port } = await gateway(t, json(COMPLETION), { headers: { 'X-Extra': 'yes' } });
    const req = request({
      port,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: {
        authorization: 'Bearer client-key',
        'x-api-key': 'client-key',
        'api-key': 'client-key',
        'proxy-authorization': 'Basic x',
        cookie: 'session=1',
        'openai-organization': 'org-client',
        'user-agent': 'test/1',
        'accept-encoding': 'gzip, br',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'a=b',
        connection: 'keep-alive, Tracestate',
        te: 'trailers',
        'x-unknown': 'x',
      },
    });
    req.end(chat());
    const [res] = await once(req, 'response');
    res.resume();
    const [sent] = upstream.requests;
    const { host: _host, 'content-length': _length, traceparent, ...headers } = sent?.headers ?? {};
    assert.deepEqual(headers, {
      connection: 'keep-alive',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
      authorization: `Bearer ${KEY}`,
      'x-extra': 'yes',
      accept: 'application/json',
      'x-request-id': 'req-1',
      'user-agent': 'test/1',
    });
    assert.match(
      String(traceparent),
      /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/,
    );
  });

  it('names the host that the operator asks for, once, and else the one of the URL', async (t) => {
    for (const [headers, expected] of [
      [{ host: 'tenant.example.com' }, 'tenant.example.com'],
      [{}, null],
    ] as const) {
      const { upstream, url } = await gateway(t, json(COMPLETION), { headers });
      assert.equal((await post(url, chat())).status, 200);
      assert.equal(upstream.requests[0]?.headers.host, expected ?? new URL(upstream.url).host);
    }
  });

  it('keeps what the upstream says of its limits, and drops what is of the connection or of its own', async (t) => {
    const { url } = await gateway(
      t,
      json(COMPLETION, 200, {
        'openai-version': '2020-10-01',
        'x-ratelimit-remaining-requests': '99',
        'set-cookie': ['a=1', 'b=2'],
        'strict-transport-security': 'max-age=1',
        'x-request-id': 'upstream',
        'x-llmrouter-deployment': 'forged',
        connection: 'x-hop, keep-alive',
        'x-hop': '1',
        server: 'nginx',
      }),
    );
    const { headers } = await post(url, chat());
    assert.equal(headers.get('openai-version'), '2020-10-01');
    assert.equal(headers.get('x-ratelimit-remaining-requests'), '99');
    assert.equal(headers.get('x-request-id'), 'req-1');
    assert.equal(headers.get('x-llmrouter-deployment'), 'gpt-4o/0');
    for (const name of ['set-cookie', 'strict-transport-security', 'x-hop', 'server']) {
      assert.equal(headers.get(name), null, name);
    }
  });
});

describe('an upstream that answers with an error', () => {
  const upstreamError = (message: string, fields: object = {}): object => ({
    error: {
      message,
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
      ...fields,
    },
  });

  it('gives the client its own words when the request is at fault', async (t) => {
    const { url } = await gateway(t, json(upstreamError('too long'), 400));
    const response = await post(url, chat());
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), upstreamError('too long'));
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/0');
  });

  const mapped: [upstream: number, status: number, code: string][] = [
    [401, 502, 'upstream_error'],
    [403, 502, 'upstream_error'],
    [408, 504, 'upstream_timeout'],
    [429, 429, 'rate_limit_exceeded'],
    [302, 502, 'upstream_error'],
    [500, 502, 'upstream_error'],
    [503, 502, 'upstream_error'],
    [504, 504, 'upstream_timeout'],
  ];
  for (const [upstream, status, code] of mapped) {
    it(`is answered with ${status} ${code} for its ${upstream}`, async (t) => {
      const { url } = await gateway(t, json(upstreamError('words'), upstream, { 'retry-after': '7' }));
      const response = await post(url, chat());
      assert.equal(response.status, status);
      assert.equal(response.headers.get('retry-after'), upstream === 401 || upstream === 403 ? null : '7');
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      assert.equal(error.code, code);
      if (upstream !== 401 && upstream !== 403) assert.equal(error.message, 'words');
    });
  }

  it('never shows a key, in no field', async (t) => {
    const plain = 'a-key-of-no-known-shape';
    const leaky = `${plain} and ${KEY} and sk-proj-********wxyz and Bearer other-secret-token and header-secret`;
    for (const status of [400, 429, 500]) {
      const { url, log } = await gateway(
        t,
        json(upstreamError(leaky, { param: leaky, code: leaky, type: leaky }), status),
        { apiKey: new Secret(plain), headers: { 'x-token': 'header-secret' } },
      );
      const body = await (await post(url, chat())).text();
      for (const secret of [plain, KEY, 'wxyz', 'other-secret', 'header-secret']) {
        assert.ok(!body.includes(secret), body);
        assert.ok(!log.join('').includes(secret));
      }
    }
  });

  it('is wrapped when it does not speak JSON', async (t) => {
    const { url, upstream } = await gateway(t, text('<html>nginx /etc/secret</html>', 502, 'text/html'));
    const html = (await (await post(url, chat())).json()) as { error: { message: string } };
    assert.equal(html.error.message, 'The upstream of "gpt-4o/0" answered with status 502');
    upstream.answer(json({ detail: 'model is loading' }, 503));
    const detail = (await (await post(url, chat())).json()) as { error: { message: string } };
    assert.equal(detail.error.message, 'model is loading');
  });
});

describe('an upstream that fails', () => {
  const expected: [name: string, script: Script, status: number, code: string][] = [
    ['hangs up', hangUp, 502, 'upstream_error'],
    ['answers with HTML', text('<html>', 200, 'text/html'), 502, 'upstream_error'],
    ['answers with a list', json([]), 502, 'upstream_error'],
    ['answers with nothing', raw('HTTP/1.1 204 No Content\r\n\r\n'), 502, 'upstream_error'],
    ['answers with something that is no HTTP', raw('hello\r\n\r\n'), 502, 'upstream_error'],
    [
      'compresses against our will',
      json(COMPLETION, 200, { 'content-encoding': 'gzip' }),
      502,
      'upstream_error',
    ],
    ['says nothing', silence, 504, 'upstream_timeout'],
  ];
  for (const [name, script, status, code] of expected) {
    it(`is answered with ${status} ${code} when it ${name}`, async (t) => {
      const { url } = await gateway(t, script, { timeoutMs: 100 });
      const response = await post(url, chat());
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      assert.deepEqual([response.status, error.code], [status, code]);
      assert.ok(!error.message.includes('127.0.0.1'));
    });
  }

  it('is a 502 when nobody listens', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const { url } = await serve(t, { deployments: [deployment(`http://127.0.0.1:${port}/v1`)] });
    const response = await post(url, chat());
    assert.equal(response.status, 502);
    assert.match(await response.text(), /could not be reached \(ECONNREFUSED\)/);
  });

  it('is never taken for a success when its JSON is cut, wherever, with and without a length', async (t) => {
    const body = JSON.stringify(COMPLETION);
    const heads = [
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n',
    ];
    const { url, upstream } = await gateway(t);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...heads), fc.nat(body.length - 1), async (head, cut) => {
        upstream.answer(raw(head + body.slice(0, cut)));
        const response = await post(url, chat());
        const { error } = (await response.json()) as { error: { code: string } };
        assert.deepEqual([response.status, error.code], [502, 'upstream_error']);
      }),
      { numRuns: 60 },
    );
  });
});

describe('an upstream that answers in another form than asked', () => {
  it('is put together when it streams unasked', async (t) => {
    const { url, upstream } = await gateway(t, cutStreamWithDone());
    const response = await post(url, chat());
    assert.equal(response.headers.get('content-type'), 'application/json');
    const body = (await response.json()) as typeof COMPLETION;
    assert.equal(body.object, 'chat.completion');
    assert.deepEqual(body.choices, [
      { index: 0, message: { role: 'assistant', content: 'one two' }, finish_reason: 'stop' },
    ]);
    assert.deepEqual(body.usage, COMPLETION.usage);
    upstream.answer(cutStream(chatStream(['one']).slice(0, -1)));
    assert.equal((await post(url, chat())).status, 502);
  });

  it('is replayed when it does not stream', async (t) => {
    const { url } = await gateway(t, json(COMPLETION));
    const response = await post(url, chat({ stream: true, stream_options: { include_usage: true } }));
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const sse = await response.text();
    assert.ok(sse.endsWith('data: [DONE]\n\n'));
    assert.match(sse, /"delta":\{"role":"assistant","content":"Hello from upstream"\}/);
    assert.match(sse, /"finish_reason":"stop"/);
    assert.match(sse, /"total_tokens":12/);
  });
});

describe('the record of a call', () => {
  it('tells model, deployment, status, usage and times', async (t) => {
    const records: CallRecord[] = [];
    const pipeline = emptyPipeline({ export: (record) => records.push(record) });
    const upstream = await startUpstream(json(COMPLETION), cutStreamWithDone(), json({}, 429));
    t.after(() => upstream.close());
    const { url } = await serve(t, {
      deployments: [deployment(upstream.url)],
      pipeline,
      identity: { id: 'team' },
    });
    for (const stream of [false, true, false]) await (await post(url, chat({ stream }))).text();
    const usage = { promptTokens: 9, completionTokens: 3, totalTokens: 12 };
    assert.deepEqual(
      records.map(
        ({
          startedAt: _at,
          totalMs: _total,
          firstByteMs: _first,
          firstTokenMs: _token,
          trace: _trace,
          ...record
        }) => record,
      ),
      [
        { ...RECORD, stream: false, status: 200, error: null, usage },
        { ...RECORD, stream: true, status: 200, error: null, usage },
        { ...RECORD, stream: false, status: 429, error: 'rate_limit_exceeded', usage: null },
      ],
    );
    for (const { totalMs, startedAt } of records) assert.ok(totalMs > 0 && startedAt > 0);
  });
});

const RECORD = {
  id: 'req-1',
  surface: 'chat.completions',
  operation: 'chat',
  model: 'gpt-4o',
  upstreamModel: 'gpt-4o',
  deployment: 'gpt-4o/0',
  provider: 'openai',
  identity: 'team',
  attempts: 1,
  costUsd: null,
  plugins: [],
};

/** The end of the body is missing, but not `[DONE]`: the answer is complete. */
function cutStreamWithDone(): Script {
  return cutStream(chatStream(['one', ' two']));
}

describe('a response that a middleware has patched so that it throws', () => {
  it('gives no answer, whether it is written at once or at the end of the turn, and hurts nobody', async (t) => {
    const upstream = await startUpstream(json(COMPLETION));
    t.after(() => upstream.close());
    const { url } = await serve(t, {
      deployments: [deployment(upstream.url)],
      before: (req, res) => {
        if (req.headers['x-broken'] === undefined) return;
        Object.assign(res, {
          _send: () => {
            throw new Error('cannot send');
          },
        });
      },
    });
    const ask = (headers: Record<string, string>): Promise<number> =>
      post(url, chat(), headers).then(
        ({ status }) => status,
        () => 0,
      );
    const asked = Array.from({ length: 20 }, (_, n) => ask(n % 4 === 0 ? { 'x-broken': 'yes' } : {}));
    const expected = Array.from({ length: 20 }, (_, n) => (n % 4 === 0 ? 0 : 200));
    assert.deepEqual(await Promise.all(asked), expected);
  });
});

async function gateway(
  t: TestContext,
  script: Script = json(COMPLETION),
  fields: Parameters<typeof deployment>[1] = {},
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const served = await serve(t, {
    deployments: [deployment(upstream.url, { apiKey: new Secret(KEY), ...fields })],
  });
  return { ...served, upstream };
}
