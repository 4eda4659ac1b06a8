import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { RoutingConfig } from '../../src/config/types.ts';
import { brokenDataAt } from '../../src/data-plane/sse.ts';
import type { RouteLoad, RouteResult } from '../../src/plugin-api/routing.ts';
import {
  chat,
  dataOf,
  deployment,
  type PlaneSetup,
  post,
  postTo,
  routing,
  type ServedPlane,
  serve,
} from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { anthropicStream } from '../support/streams.ts';
import {
  COMPLETION,
  chatStream,
  DONE,
  delta,
  json,
  type Script,
  silence,
  startUpstream,
  stream,
  type Upstream,
} from '../support/upstream.ts';

const OK = json(COMPLETION);
const SSE = { 'content-type': 'text/event-stream' };
const STREAMED = chat({ stream: true });

describe('Retry-After of an upstream', () => {
  const busy = (retryAfter: string): Script => json({}, 429, { 'retry-after': retryAfter });
  const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toUTCString();

  it('is waited for where there is no other deployment, in seconds and as a date', async (t) => {
    for (const retryAfter of [() => '1', () => inSeconds(2)]) {
      const { url, upstreams } = await gateway(t, [OK], { routing: { numRetries: 1 } });
      upstreams[0]?.answer(busy(retryAfter()), OK);
      const sentAt = performance.now();
      const response = await post(url, chat());
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
      // A date has no fractions of a second.
      assert.ok(performance.now() - sentAt >= 900);
    }
  });

  it('keeps calls away from it while there are others, the next ones too', async (t) => {
    const { url, upstreams } = await gateway(t, [busy('30'), OK], { routing: { numRetries: 1 } });
    for (const attempts of ['2', '1']) {
      const response = await post(url, chat());
      assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/1');
      assert.equal(response.headers.get('x-llmrouter-attempts'), attempts);
    }
    assert.equal(upstreams[0]?.requests.length, 1);
  });

  it('that is too long to wait for goes to the client', async (t) => {
    for (const retryAfter of ['3600', inSeconds(3600)]) {
      const { url } = await gateway(t, [busy(retryAfter)], { routing: { numRetries: 2 } });
      const response = await post(url, chat());
      assert.equal(response.status, 429);
      assert.equal(response.headers.get('x-llmrouter-attempts'), '1');
      assert.equal(response.headers.get('retry-after'), retryAfter);
    }
  });
});

describe('a deployment whose cool-down is over', () => {
  const setup = async (t: TestContext): Promise<Gateway & { at: (now: number) => void }> => {
    let now = 0;
    const served = await gateway(t, [json({}, 500)], {
      routing: { allowedFails: 0, cooldownMs: 1000 },
      clock: () => now,
    });
    return {
      ...served,
      at(time) {
        now = time;
      },
    };
  };

  it('is probed by one call, the others are answered at once', async (t) => {
    const { url, upstreams, at } = await setup(t);
    await post(url, chat());
    at(1000);
    const held = Promise.withResolvers<void>();
    upstreams[0]?.answer(async (...args) => {
      await held.promise;
      await OK(...args);
    });
    const arrived = upstreams[0]?.nextRequest();
    const probe = post(url, chat());
    await arrived;
    const other = await post(url, chat());
    assert.equal(other.status, 503);
    assert.equal(other.headers.get('retry-after'), '1');
    held.resolve();
    assert.equal((await probe).status, 200);
    assert.equal((await post(url, chat())).status, 200);
  });

  it('is out again at once when the probe fails', async (t) => {
    const { url, upstreams, at } = await setup(t);
    for (const now of [0, 1000]) {
      at(now);
      assert.equal((await post(url, chat())).status, 502);
    }
    assert.equal((await post(url, chat())).status, 503);
    assert.equal(upstreams[0]?.requests.length, 2);
  });

  it('may be probed again when the client of a probe has left', async (t) => {
    const { url, upstreams, at } = await setup(t);
    await post(url, chat());
    at(1000);
    upstreams[0]?.answer(silence, OK);
    const client = new AbortController();
    const arrived = upstreams[0]?.nextRequest();
    const probe = post(url, chat(), {}, client.signal);
    const request = await arrived;
    client.abort();
    await assert.rejects(probe);
    await request?.aborted;
    assert.equal((await post(url, chat())).status, 200);
  });
});

describe('fallbacks by what is wrong', () => {
  const saying = (message: string, code: string | null = null): Script =>
    json({ error: { message, type: 'invalid_request_error', code } }, 400);
  const setup = async (t: TestContext, script: Script, fields: Partial<RoutingConfig>): Promise<string> => {
    const [bad, good] = await Promise.all([startUpstream(script), startUpstream(OK)]);
    t.after(() => Promise.all([bad.close(), good.close()]));
    const { url } = await serve(t, {
      deployments: [deployment(bad.url), deployment(good.url, { id: 'large/0', group: 'large' })],
      routing: routing(fields),
    });
    const response = await post(url, chat());
    await response.text();
    return `${response.status} ${response.headers.get('x-llmrouter-deployment')}`;
  };
  const to = [{ from: 'gpt-4o', to: ['large'] }];

  for (const script of [
    saying('This model takes less', 'context_length_exceeded'),
    saying('prompt is too long: 210000 tokens > 200000 maximum'),
    saying("This model's maximum context length is 8192 tokens"),
    saying('The input token count (40000) exceeds the maximum number of tokens allowed (32768)'),
    saying('Input is too long for requested model.'),
    saying('the request exceeds the available context size'),
  ]) {
    it('send a prompt that is too long to a model that takes it', async (t) => {
      assert.equal(await setup(t, script, { contextWindowFallbacks: to }), '200 large/0');
      assert.equal(await setup(t, script, { fallbacks: to }), '400 gpt-4o/0');
    });
  }

  it('send what a filter has refused to a model with another filter', async (t) => {
    const refused = saying('The response was filtered', 'content_filter');
    assert.equal(await setup(t, refused, { contentPolicyFallbacks: to }), '200 large/0');
    assert.equal(await setup(t, refused, { contextWindowFallbacks: to }), '400 gpt-4o/0');
  });

  it('do not hide what is wrong with a request', async (t) => {
    const all = { fallbacks: to, contextWindowFallbacks: to, contentPolicyFallbacks: to };
    const script = saying('messages[0].role is missing; the maximum is 8');
    assert.equal(await setup(t, script, { ...all, defaultFallbacks: ['large'] }), '400 gpt-4o/0');
  });

  it('by default serve groups without fallbacks of their own', async (t) => {
    assert.equal(await setup(t, json({}, 500), { defaultFallbacks: ['large'] }), '200 large/0');
    const own = [{ from: 'gpt-4o', to: ['gone'] }];
    assert.equal(
      await setup(t, json({}, 500), { fallbacks: own, defaultFallbacks: ['large'] }),
      '502 gpt-4o/0',
    );
  });
});

describe('time-outs', () => {
  it('of the first token lead to another deployment, before the head and behind it', async (t) => {
    const headOnly: Script = (_request, res) => void res.writeHead(200, SSE).flushHeaders();
    for (const script of [silence, headOnly]) {
      const { url } = await gateway(t, [script, stream(chatStream(['one']))], {
        routing: { numRetries: 1 },
        deployment: { streamTimeoutMs: 1000 },
        keepAliveMs: 60_000,
      });
      const response = await post(url, STREAMED);
      assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
      assert.equal(dataOf(await response.text()).at(-1), '[DONE]');
    }
  });

  it('for streams leave other answers their time', async (t) => {
    const slow: Script = async (...args) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await OK(...args);
    };
    const { url } = await gateway(t, [slow], { deployment: { streamTimeoutMs: 50 } });
    assert.equal((await post(url, chat())).status, 200);
    assert.equal((await post(url, STREAMED)).status, 504);
  });

  it('bound the silence of a stream, not its length', async (t) => {
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400));
    const { url } = await gateway(t, [stream(chatStream(['one', 'two']), pause)], {
      deployment: { timeoutMs: 1500 },
    });
    assert.equal(dataOf(await (await post(url, STREAMED)).text()).at(-1), '[DONE]');
  });
});

describe('a client that waits for the first event of a stream', () => {
  /** Sends the head, and `parts` when the client has seen that it is not forgotten. */
  const late = (parts: readonly string[], seen: Promise<void>): Script => {
    return async (_request, res) => {
      res.writeHead(200, SSE).flushHeaders();
      await seen;
      for (const part of parts) res.write(part);
      res.end();
    };
  };

  for (const [path, parts, sign] of [
    ['/v1/chat/completions', chatStream(['one']), ': keep-alive\n\n'],
    ['/v1/messages', anthropicStream(['one']), 'event: ping\ndata: {"type":"ping"}\n\n'],
  ] as const) {
    it(`hears of it on ${path}, and then gets the stream as it is`, async (t) => {
      const seen = Promise.withResolvers<void>();
      const provider = path === '/v1/messages' ? 'anthropic' : 'openai';
      const { url } = await gateway(t, [late(parts, seen.promise)], {
        deployment: { provider },
        keepAliveMs: 20,
      });
      const body = (await postTo(url, path, STREAMED)).body as ReadableStream<Uint8Array<ArrayBuffer>>;
      let text = '';
      for await (const bytes of body) {
        text += Buffer.from(bytes).toString();
        seen.resolve();
      }
      const whole = parts.join('');
      assert.ok(text.endsWith(whole));
      const signs = text.slice(0, -whole.length);
      assert.equal(signs, sign.repeat(signs.length / sign.length));
      assert.ok(signs.length > 0);
    });
  }

  it('is told of a failure in the stream from then on: there is no other attempt', async (t) => {
    const seen = Promise.withResolvers<void>();
    const { url, upstreams } = await gateway(t, [late([], seen.promise), OK], {
      routing: { numRetries: 2 },
      keepAliveMs: 20,
    });
    const response = await post(url, STREAMED);
    seen.resolve();
    const data = dataOf(await response.text());
    assert.equal(JSON.parse(data.at(-1) ?? '').error.code, 'upstream_error');
    assert.equal(upstreams[1]?.requests.length, 0);
  });

  it('hears nothing before the head of the answer, so that another deployment can help', async (t) => {
    const { url } = await gateway(t, [silence, stream(chatStream(['one']))], {
      routing: { numRetries: 1 },
      deployment: { timeoutMs: 1000 },
      keepAliveMs: 20,
    });
    const response = await post(url, STREAMED);
    assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
    assert.equal(await response.text(), chatStream(['one']).join(''));
  });
});

describe('a stream with an event that is no JSON', () => {
  for (const event of [
    'data: {"choices":[{"delta"\n\n',
    'data: {oops}\n\n',
    'data: oops\r\n\r\n',
    'data:\n\n',
  ]) {
    it(`ends in an error event, not in [DONE]: ${JSON.stringify(event)}`, async (t) => {
      const { url } = await gateway(t, [stream([delta('one'), event, delta('two'), DONE])]);
      const data = dataOf(await (await post(url, STREAMED)).text());
      assert.equal(JSON.parse(data.at(-1) ?? '').error.code, 'upstream_error');
    });
  }

  it('is told from one whose JSON has any shape', () => {
    const eol = fc.constantFrom('\n', '\r\n');
    fc.assert(
      fc.property(fc.json(), fc.boolean(), eol, (text, hasSpace, end) => {
        const event = `event: x${end}: note${end}data:${hasSpace ? ' ' : ''}${text}${end}${end}`;
        assert.equal(brokenDataAt(Buffer.from(event)), -1);
        const broken = event.replace(text, `${text}]`);
        assert.equal(brokenDataAt(Buffer.from(broken)), 0);
        assert.equal(brokenDataAt(Buffer.from(event + broken)), Buffer.byteLength(event));
      }),
    );
  });
});

describe('what a strategy hears', () => {
  it('are the tokens, the time to the first token and the load', async (t) => {
    const results: RouteResult[] = [];
    const loads: RouteLoad[] = [];
    const strategies = new Map([
      [
        'learns',
        {
          select: async (
            _request: unknown,
            candidates: readonly RouteResult['deployment'][],
            load: RouteLoad,
          ) => {
            loads.push(load);
            return candidates[0] ?? null;
          },
          observe: (result: RouteResult) => void results.push(result),
        },
      ],
    ]);
    const { url, upstreams } = await gateway(t, [OK], {
      routing: { strategy: 'learns' },
      pipeline: emptyPipeline({ strategies }),
    });
    await (await post(url, chat())).text();
    upstreams[0]?.answer(stream(chatStream(['one'])), silence);
    await (await post(url, STREAMED)).text();
    const client = new AbortController();
    const arrived = upstreams[0]?.nextRequest();
    const hanging = post(url, chat(), {}, client.signal);
    const request = await arrived;
    upstreams[0]?.answer(json({}, 400));
    await post(url, chat());
    client.abort();
    await assert.rejects(hanging);
    await request?.aborted;
    await post(url, chat());

    assert.deepEqual(
      results.map(({ ok, usage, firstTokenMs }) => [ok, usage?.totalTokens ?? null, firstTokenMs !== null]),
      [
        [true, 12, false],
        [true, 12, true],
        [false, null, false],
        [false, null, false],
      ],
    );
    assert.deepEqual(
      loads.map(({ inFlight }) => inFlight),
      [[0], [0], [0], [1], [0]],
    );
    assert.ok(results.every(({ requestId }) => requestId === 'req-1'));
  });
});

type Gateway = ServedPlane & { readonly upstreams: readonly Upstream[] };

interface Setup extends Omit<PlaneSetup, 'routing'> {
  readonly routing?: Partial<RoutingConfig>;
  readonly deployment?: Parameters<typeof deployment>[1];
}

/** One group with a deployment for each script; the first one that is ready is chosen. */
async function gateway(t: TestContext, scripts: readonly Script[], setup: Setup = {}): Promise<Gateway> {
  const upstreams = await Promise.all(scripts.map((script) => startUpstream(script)));
  t.after(() => Promise.all(upstreams.map((upstream) => upstream.close())));
  const { routing: fields, deployment: common, ...rest } = setup;
  const served = await serve(t, {
    deployments: upstreams.map(({ url }, index) => deployment(url, { id: `gpt-4o/${index}`, ...common })),
    routing: routing(fields),
    random: () => 0,
    ...rest,
  });
  return { ...served, upstreams };
}
