import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { backoffMs } from '../../src/data-plane/routing/backoff.ts';
import { Cooldown } from '../../src/data-plane/routing/cooldown.ts';
import { retryAfterMs } from '../../src/data-plane/routing/retry-after.ts';
import { RetryBudget } from '../../src/data-plane/routing/retry-budget.ts';
import { shuffle } from '../../src/data-plane/routing/simple-shuffle.ts';
import { GatewayError } from '../../src/errors.ts';
import type { StrategyPhase } from '../../src/pipeline/types.ts';
import type { ProviderResponse } from '../../src/plugin-api/provider.ts';
import type { Candidate, RouteResult } from '../../src/plugin-api/routing.ts';
import { chat, dataOf, deployment, post, routing, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline, providing } from '../support/pipeline.ts';
import {
  COMPLETION,
  chatStream,
  cutStream,
  delta,
  hangUp,
  json,
  type Script,
  startUpstream,
  type Upstream,
} from '../support/upstream.ts';

const OK = json(COMPLETION);
const BAD = json({ error: { message: 'broken' } }, 500);

describe('simple-shuffle', () => {
  it('chooses in proportion to the weights', () => {
    const candidates = [3, 0, 1].map((weight, index) => candidate(`m/${index}`, weight));
    const counts = new Map<string, number>();
    for (let step = 0; step < 1000; step++) {
      const id = shuffle(candidates, () => step / 1000)?.id ?? '';
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries(counts), { 'm/0': 750, 'm/2': 250 });
  });

  it('always chooses a candidate', () => {
    const weights = fc.array(fc.float({ min: 0, max: 1000, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(weights, fc.float({ min: 0, max: Math.fround(0.999), noNaN: true }), (list, chance) => {
        const candidates = list.map((weight, index) => candidate(`m/${index}`, weight));
        assert.ok(candidates.includes(shuffle(candidates, () => chance) as Candidate));
      }),
    );
  });
});

describe('the cool-down of a deployment', () => {
  const failAt = (cooldown: Cooldown, ...times: readonly number[]): void => {
    for (const now of times) cooldown.fail('regular', now);
  };

  it('begins after more failures than allowed within a minute', () => {
    const cooldown = new Cooldown(2, 30_000);
    failAt(cooldown, 0, 61_000, 62_000);
    assert.ok(cooldown.allows(62_000));
    failAt(cooldown, 63_000);
    assert.ok(!cooldown.allows(92_999));
    assert.ok(cooldown.allows(93_000));
  });

  it('is followed by one probe at a time, whose success ends it and whose failure begins the next', () => {
    const cooldown = new Cooldown(0, 1000);
    failAt(cooldown, 0);
    assert.equal(cooldown.begin(999), null);
    assert.equal(cooldown.begin(1000), 'probe');
    assert.equal(cooldown.begin(1000), null);
    cooldown.fail('probe', 1001);
    assert.equal(cooldown.begin(2000), null);
    assert.equal(cooldown.begin(2001), 'probe');
    cooldown.release('probe');
    assert.equal(cooldown.begin(2002), 'probe');
    cooldown.succeed('probe');
    assert.deepEqual([cooldown.begin(2003), cooldown.begin(2003)], ['regular', 'regular']);
  });

  it('never lets two probes through, whatever happens', () => {
    const step = fc.constantFrom('begin', 'succeed', 'fail', 'release', 'straggle', 'wait');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const cooldown = new Cooldown(0, 10);
        let now = 0;
        let probes = 0;
        for (const each of ['straggle', ...steps]) {
          if (each === 'wait') now += 7;
          else if (each === 'straggle') cooldown.fail('regular', now);
          else if (each === 'begin') {
            const pass = cooldown.begin(now);
            if (pass === 'probe') probes++;
            assert.ok(probes === 0 || pass !== 'regular');
          } else if (probes > 0) {
            probes--;
            if (each === 'fail') cooldown.fail('probe', now);
            else if (each === 'succeed') cooldown.succeed('probe');
            else cooldown.release('probe');
          }
          assert.ok(probes <= 1);
        }
      }),
    );
  });
});

describe('the back-off', () => {
  it('is by chance, up to a limit that doubles to two seconds', () => {
    assert.deepEqual(
      [1, 2, 3, 10].map((failures) => backoffMs(failures, () => 0.5)),
      [50, 100, 200, 1000],
    );
    assert.equal(
      backoffMs(10, () => 0),
      0,
    );
  });
});

describe('Retry-After', () => {
  const NOW = Date.parse('Sun, 22 Nov 2026 12:00:00 GMT');

  for (const [value, ms] of [
    ['3', 3000],
    ['0.5', 500],
    ['0', 0],
    ['86400', 60_000],
    ['Sun, 22 Nov 2026 12:00:05 GMT', 5000],
    ['Sunday, 22-Nov-26 12:00:05 GMT', 5000],
    ['Sun, 22 Nov 2026 11:59:59 GMT', 0],
    ['Mon, 23 Nov 2026 12:00:00 GMT', 60_000],
    ['soon', 0],
    [null, 0],
  ] as const) {
    it(`of ${value} means ${ms} ms`, () => assert.equal(retryAfterMs(value, NOW), ms));
  }
});

describe('the retry budget', () => {
  it('is a tenth of the calls of its window, and at least ten retries', () => {
    const event = fc.record({ call: fc.boolean(), waitMs: fc.nat(300) });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 2000, size: 'max' }), (events) => {
        const budget = new RetryBudget();
        let now = 0;
        let windowEnd = 10_000;
        let calls = 0;
        let retries = 0;
        for (const { call, waitMs } of events) {
          if (now >= windowEnd) {
            windowEnd = now + 10_000;
            calls = 0;
            retries = 0;
          }
          if (call) {
            budget.earn(now);
            calls++;
          } else {
            const allowed = Math.max(10, calls * 0.1);
            assert.equal(budget.spend(now), retries + 1 <= allowed);
            if (retries + 1 <= allowed) retries++;
          }
          assert.ok(retries <= Math.max(10, calls * 0.1));
          now += waitMs;
        }
      }),
      { numRuns: 50 },
    );
  });

  it('keeps a storm from being amplified', async (t) => {
    const busy = json({}, 503);
    const { url, upstreams, log } = await gateway(t, [busy], { numRetries: 5 }, () => 0);
    for (let sent = 0; sent < 500; sent += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const response = await post(url, chat());
          await response.text();
          assert.equal(response.status, 502);
        }),
      );
    }
    assert.ok((upstreams[0]?.requests.length ?? 0) <= 560);
    assert.equal(log.filter((line) => line.includes('retry budget')).length, 1);
  });
});

describe('retries', () => {
  it('go to another deployment while the client has seen nothing', async (t) => {
    for (const failing of [BAD, hangUp, json({}, 429), json({}, 401), cutStream(['data: {'])]) {
      const { url } = await gateway(t, [failing, OK], { numRetries: 1 }, () => 0);
      const response = await post(url, chat());
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
      assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/1');
    }
  });

  it('go to the same deployment when there is no other', async (t) => {
    const { url, upstreams } = await gateway(t, [BAD], { numRetries: 2 }, () => 0);
    upstreams[0]?.answer(BAD, BAD, OK);
    const response = await post(url, chat());
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-llmrouter-attempts'), '3');
  });

  it('do not go to the deployment whose key was refused', async (t) => {
    const { url, upstreams } = await gateway(t, [json({}, 401)], { numRetries: 2 });
    assert.equal((await post(url, chat())).status, 502);
    assert.equal(upstreams[0]?.requests.length, 1);
  });

  it('are not made for what the request is to blame for, nor beyond their number', async (t) => {
    const { url, upstreams } = await gateway(t, [json({}, 400), BAD], { numRetries: 2 }, () => 0);
    assert.equal((await post(url, chat())).status, 400);
    assert.equal(upstreams[0]?.requests.length, 1);
    upstreams[0]?.answer(BAD);
    const response = await post(url, chat());
    assert.equal(response.status, 502);
    assert.equal(response.headers.get('x-llmrouter-attempts'), '3');
  });

  it('are not made once a byte of the stream is out', async (t) => {
    const { url, upstreams } = await gateway(t, [cutStream([delta('one')]), OK], { numRetries: 2 }, () => 0);
    const data = dataOf(await (await post(url, chat({ stream: true }))).text());
    assert.equal(JSON.parse(data.at(-1) ?? '').error.code, 'upstream_error');
    assert.equal(upstreams[1]?.requests.length, 0);
  });
});

describe('a group without a deployment in service', () => {
  it('answers 503 with Retry-After until the cool-down is over', async (t) => {
    let now = 0;
    const { url, upstreams } = await gateway(
      t,
      [BAD],
      { allowedFails: 0, cooldownMs: 30_000 },
      undefined,
      () => now,
    );
    assert.equal((await post(url, chat())).status, 502);
    now = 10_500;
    const response = await post(url, chat());
    assert.equal(response.status, 503);
    assert.equal(response.headers.get('retry-after'), '20');
    assert.equal(await codeOf(response), 'no_deployment_available');
    now = 30_001;
    upstreams[0]?.answer(OK);
    assert.equal((await post(url, chat())).status, 200);
  });

  it('does not cool down because of bad requests', async (t) => {
    const { url } = await gateway(t, [json({}, 422)], { allowedFails: 0 });
    for (let count = 0; count < 3; count++) assert.equal((await post(url, chat())).status, 422);
  });

  it('names the provider that is missing, in the log', async (t) => {
    const { url, log } = await serve(t, { deployments: [deployment(null, { provider: 'acme' })] });
    assert.equal(await codeOf(await post(url, chat())), 'no_deployment_available');
    assert.match(log.join(''), /nobody provides \\"acme\\"/);
  });
});

describe('fallbacks', () => {
  const fallbacks = [{ from: 'gpt-4o', to: ['gone', 'backup'] }];
  const setup = async (t: TestContext, models?: readonly string[]): Promise<ServedPlane> => {
    const [bad, good] = await Promise.all([startUpstream(BAD), startUpstream(OK)]);
    t.after(() => Promise.all([bad.close(), good.close()]));
    return serve(t, {
      deployments: [
        deployment(bad.url),
        deployment(good.url, { id: 'backup/0', group: 'backup', model: 'claude' }),
      ],
      routing: routing({ fallbacks }),
      identity: models === undefined ? null : { id: 'ci', models },
    });
  };

  it('serve the call when the group fails', async (t) => {
    const { url } = await setup(t);
    const response = await post(url, chat());
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'backup/0');
    assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
  });

  it('are no way around the limits of a caller', async (t) => {
    const { url } = await setup(t, ['gpt-4o']);
    assert.equal((await post(url, chat())).status, 502);
    assert.equal(await codeOf(await post(url, chat({ model: 'backup' }))), 'permission_error');
  });
});

describe('a strategy of a plugin', () => {
  const phase = (select: StrategyPhase['select'], results: RouteResult[] = []): StrategyPhase => ({
    select,
    observe: (result) => void results.push(result),
  });

  it('decides among the frozen candidates, and learns how it went', async (t) => {
    const results: RouteResult[] = [];
    const seen: (readonly Candidate[])[] = [];
    const last = phase(async (request, candidates) => {
      assert.equal(request.body.model, 'gpt-4o');
      seen.push(candidates);
      return candidates.at(-1) ?? null;
    }, results);
    const { url } = await gateway(
      t,
      [OK, OK, BAD],
      { strategy: 'last', numRetries: 1 },
      undefined,
      undefined,
      last,
    );
    const response = await post(url, chat());
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/1');
    assert.deepEqual(
      seen.map((candidates) => candidates.map(({ id }) => id)),
      [
        ['gpt-4o/0', 'gpt-4o/1', 'gpt-4o/2'],
        ['gpt-4o/0', 'gpt-4o/1'],
      ],
    );
    assert.ok(seen.every((candidates) => Object.isFrozen(candidates) && Object.isFrozen(candidates[0])));
    assert.deepEqual(
      results.map(({ deployment: { id }, ok, status }) => [id, ok, status]),
      [
        ['gpt-4o/2', false, 500],
        ['gpt-4o/1', true, 200],
      ],
    );
  });

  it('that fails, or names what is no candidate, leaves it to the default', async (t) => {
    for (const select of [async () => null, async () => candidate('forged', 1)]) {
      const { url } = await gateway(t, [OK], { strategy: 'odd' }, undefined, undefined, phase(select));
      assert.equal((await post(url, chat())).headers.get('x-llmrouter-deployment'), 'gpt-4o/0');
    }
  });

  it('that says that all limits are reached is the client’s answer, unless an upstream or a fallback has one', async (t) => {
    const reached = new GatewayError('rate_limit_exceeded', 'Nobody left', {
      headers: { 'retry-after': '7' },
    });
    const refuse = phase(async () => Promise.reject(reached));
    const { url, upstreams } = await gateway(t, [OK], { strategy: 'full' }, undefined, undefined, refuse);
    const response = await post(url, chat());
    assert.deepEqual(
      [response.status, response.headers.get('retry-after'), response.headers.get('x-llmrouter-attempts')],
      [429, '7', '0'],
    );
    assert.equal(await codeOf(response), 'rate_limit_exceeded');
    assert.equal(upstreams[0]?.requests.length, 0);

    const once = phase(async (_request, candidates) => {
      if (candidates.length === 1) throw reached;
      return candidates[0] ?? null;
    });
    const retried = await gateway(
      t,
      [BAD, OK],
      { strategy: 'full', numRetries: 1 },
      undefined,
      undefined,
      once,
    );
    assert.equal((await post(retried.url, chat())).status, 502);

    const [primary, backup] = await Promise.all([startUpstream(OK), startUpstream(OK)]);
    t.after(() => Promise.all([primary.close(), backup.close()]));
    const select = phase(async (_request, candidates) => {
      if (candidates[0]?.group === 'gpt-4o') throw reached;
      return candidates[0] ?? null;
    });
    const { url: fallingBack } = await serve(t, {
      deployments: [deployment(primary.url), deployment(backup.url, { group: 'backup' })],
      routing: routing({ strategy: 'full', fallbacks: [{ from: 'gpt-4o', to: ['backup'] }] }),
      pipeline: emptyPipeline({ strategies: new Map([['full', select]]) }),
    });
    assert.equal((await post(fallingBack, chat())).headers.get('x-llmrouter-deployment'), 'backup/0');
  });

  it('that nobody provides is named in the log, once', async (t) => {
    const { url, log } = await gateway(t, [OK], { strategy: 'missing' });
    await post(url, chat());
    await post(url, chat());
    assert.equal(log.filter((line) => line.includes('"missing\\"')).length, 1);
  });
});

describe('a provider of a plugin', () => {
  const ask = async (
    t: TestContext,
    chatOf: () => Promise<ProviderResponse>,
    body = chat(),
  ): Promise<Response> => {
    const { url } = await serve(t, {
      deployments: [deployment(null, { provider: 'acme', model: 'm' })],
      pipeline: emptyPipeline({ providers: new Map([['acme', providing({ chat: chatOf })]]) }),
    });
    return post(url, body);
  };

  it('answers whole or streamed', async (t) => {
    const headers = { 'Content-Type': 'application/json' };
    const whole = await ask(t, async () => ({ status: 200, headers, body: JSON.stringify(COMPLETION) }));
    assert.deepEqual(await whole.json(), COMPLETION);
    const parts = chatStream(['one', ' two']);
    const streamed = await ask(
      t,
      async () => ({ status: 200, headers: { 'Content-Type': 'text/event-stream' }, body: iterate(parts) }),
      chat({ stream: true }),
    );
    assert.equal(await streamed.text(), parts.join(''));
  });

  it('that fails is an upstream that fails; its refusals reach the client', async (t) => {
    const failed = await ask(t, async () => {
      throw new GatewayError('upstream_error', 'The provider "acme" failed');
    });
    assert.equal(failed.status, 502);
    const refused = await ask(t, async () => {
      throw Object.assign(new Error('not for you'), { status: 422 });
    });
    assert.equal(refused.status, 422);
    assert.match(await refused.text(), /not for you/);
  });

  it('that writes a head which is none is an upstream that fails', async (t) => {
    for (const stream of [false, true]) {
      const type = stream ? 'text/event-stream' : 'application/json';
      const headers = { 'content-type': type, 'x-bad': 'a\r\nset-cookie: b' };
      const body = stream ? chatStream(['one']).join('') : JSON.stringify(COMPLETION);
      const response = await ask(t, async () => ({ status: 200, headers, body }), chat({ stream }));
      assert.ok(response.status >= 500);
      assert.equal(response.headers.get('set-cookie'), null);
    }
  });

  it('whose stream throws is a stream that broke', async (t) => {
    const body = (async function* () {
      yield delta('one');
      throw new Error('gone');
    })();
    const response = await ask(
      t,
      async () => ({ status: 200, headers: { 'content-type': 'text/event-stream' }, body }),
      chat({ stream: true }),
    );
    const data = dataOf(await response.text());
    assert.equal(JSON.parse(data.at(-1) ?? '').error.code, 'upstream_error');
  });
});

async function* iterate(parts: readonly string[]): AsyncGenerator<string> {
  yield* parts;
}

function candidate(id: string, weight: number): Candidate {
  return Object.freeze({
    id,
    group: 'm',
    model: 'm',
    provider: 'openai',
    weight,
    rpm: null,
    tpm: null,
    order: null,
    inputCostPerToken: null,
    outputCostPerToken: null,
  });
}

async function codeOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { code: string } }).error.code;
}

/** One group, one deployment for each script. */
async function gateway(
  t: TestContext,
  scripts: readonly Script[],
  fields: Parameters<typeof routing>[0],
  random: () => number = Math.random,
  clock: () => number = () => performance.now(),
  strategy?: StrategyPhase,
): Promise<ServedPlane & { readonly upstreams: readonly Upstream[] }> {
  const upstreams = await Promise.all(scripts.map((script) => startUpstream(script)));
  t.after(() => Promise.all(upstreams.map((upstream) => upstream.close())));
  const strategies = new Map(strategy === undefined ? [] : [[fields?.strategy ?? '', strategy]]);
  const served = await serve(t, {
    deployments: upstreams.map(({ url }, index) => deployment(url, { id: `gpt-4o/${index}` })),
    routing: routing(fields),
    pipeline: emptyPipeline({ strategies }),
    random,
    clock,
  });
  return { ...served, upstreams };
}
