import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Candidate, LlmRequest, RouteResult, StorageValue } from 'routeiq-gateway/plugin';
import { installHostModule } from '../../../src/discovery/host-module.ts';
import { affinityKey } from '../affinity-key.ts';
import { ConsistentHash } from '../consistent-hash.ts';
import { costBased } from '../cost-based.ts';
import { LatencyBased } from '../latency-based.ts';
import { leastBusy } from '../least-busy.ts';
import { priority } from '../priority.ts';
import { RoundRobin } from '../round-robin.ts';
import type { UsageBased } from '../usage-based.ts';
import { UsageCounts, type UsageCountsOptions } from '../usage-counts.ts';

installHostModule();
const { UsageBased: Usage } = await import('../usage-based.ts');

const first = (): number => 0;

describe('round-robin', () => {
  it('calls each as often as its weight says, as evenly as that allows', () => {
    const strategy = new RoundRobin();
    const candidates = [candidate('a', { weight: 3 }), candidate('b'), candidate('c', { weight: 0 })];
    const turns = Array.from({ length: 8 }, () => strategy.select(request(), candidates)?.id);
    assert.deepEqual(turns.join(''), 'aabaaaba');
  });

  it('keeps to the weights whatever their number', () => {
    const weights = fc.array(fc.nat(6), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, (list) => {
        const strategy = new RoundRobin();
        const parts = list.some((weight) => weight > 0) ? list : list.map(() => 1);
        const candidates = list.map((weight, index) => candidate(String(index), { weight }));
        const rounds = 3 * parts.reduce((total, each) => total + each, 0);
        const counts = list.map(() => 0);
        for (let turn = 0; turn < rounds; turn++) {
          const index = Number(strategy.select(request(), candidates)?.id);
          counts[index] = (counts[index] ?? 0) + 1;
        }
        assert.deepEqual(
          counts,
          parts.map((part) => 3 * part),
        );
      }),
    );
  });
});

describe('least-busy', () => {
  it('chooses the one with the fewest running calls, and by chance among equals', () => {
    const candidates = ['a', 'b', 'c'].map((id) => candidate(id));
    const choose = (random: () => number, inFlight: number[]): unknown =>
      id(leastBusy(random).select(request(), candidates, { inFlight }));
    assert.equal(choose(first, [2, 1, 3]), 'b');
    assert.equal(choose(first, [1, 1, 3]), 'a');
    assert.equal(
      choose(() => 0.9, [1, 1, 3]),
      'b',
    );
  });
});

describe('priority', () => {
  it('chooses the lowest order; one without an order comes last', () => {
    const candidates = [candidate('a'), candidate('b', { order: 2 }), candidate('c', { order: 1 })];
    const choose = (list: readonly Candidate[]): unknown =>
      id(priority(first).select(request(), list, idle(list)));
    assert.equal(choose(candidates), 'c');
    assert.equal(choose(candidates.slice(0, 2)), 'b');
    assert.equal(choose(candidates.slice(0, 1)), 'a');
  });
});

describe('cost-based-routing', () => {
  it('chooses the cheapest; one without a price comes last', () => {
    const price = (input: number, output: number): Partial<Candidate> => ({
      inputCostPerToken: input,
      outputCostPerToken: output,
    });
    const candidates = [
      candidate('a'),
      candidate('b', price(3, 1)),
      candidate('c', price(1, 2)),
      candidate('d', { inputCostPerToken: 0 }),
    ];
    const choose = (list: readonly Candidate[]): unknown =>
      id(costBased(first).select(request(), list, idle(list)));
    assert.equal(choose(candidates), 'c');
    assert.equal(choose(candidates.slice(0, 2)), 'b');
    assert.equal(choose(candidates.slice(0, 1)), 'a');
  });
});

describe('latency-based-routing', () => {
  const [a, b] = ['a', 'b'].map((name) => candidate(name)) as [Candidate, Candidate];
  const setup = (): { strategy: LatencyBased; pass: (ms: number) => void } => {
    let now = 0;
    const strategy = new LatencyBased({ margin: 0.2, ttlMs: 1000, clock: () => now, random: first });
    return {
      strategy,
      pass: (ms) => {
        now += ms;
      },
    };
  };

  it('measures what is unknown, then chooses by the time to the first token for streams', () => {
    const { strategy } = setup();
    strategy.observe(result(a, { firstTokenMs: 300, totalMs: 400 }));
    assert.equal(strategy.select(request({ stream: true }), [a, b]), b);
    strategy.observe(result(b, { firstTokenMs: 100, totalMs: 4000 }));
    assert.equal(strategy.select(request({ stream: true }), [a, b]), b);
    assert.equal(strategy.select(request(), [a, b]), a);
  });

  it('chooses by the time for each token where nothing is streamed', () => {
    const { strategy } = setup();
    strategy.observe(result(a, { totalMs: 1000, usage: tokens(10) }));
    strategy.observe(result(b, { totalMs: 2000, usage: tokens(100) }));
    assert.equal(strategy.select(request(), [a, b]), b);
  });

  it('shares calls among those that are nearly as fast', () => {
    const { strategy } = setup();
    strategy.observe(result(b, { totalMs: 100 }));
    strategy.observe(result(a, { totalMs: 119 }));
    assert.equal(strategy.select(request(), [a, b]), a);
  });

  it('takes a failure for slow, and a refusal of the request for nothing', () => {
    const { strategy } = setup();
    strategy.observe(result(a, { totalMs: 100 }));
    strategy.observe(result(b, { totalMs: 150 }));
    strategy.observe(result(a, { ok: false, status: 400, totalMs: 1 }));
    assert.equal(strategy.select(request(), [a, b]), a);
    strategy.observe(result(a, { ok: false, status: 503, totalMs: 1 }));
    assert.equal(strategy.select(request(), [a, b]), b);
  });

  it('forgets, so that a deployment that was slow gets another chance', () => {
    const { strategy, pass } = setup();
    strategy.observe(result(b, { totalMs: 1000 }));
    pass(600);
    strategy.observe(result(a, { totalMs: 10 }));
    assert.equal(strategy.select(request(), [b, a]), a);
    pass(600);
    assert.equal(strategy.select(request(), [b, a]), b);
  });
});

describe('usage-based-routing', () => {
  const setup = (
    options: Partial<UsageCountsOptions> = {},
  ): { strategy: UsageBased; at: (ms: number) => void } => {
    let now = 0;
    const counts = new UsageCounts({ clock: () => now, shared: null, logger: SILENT, ...options });
    return {
      strategy: new Usage(counts, first),
      at: (ms) => {
        now = ms;
      },
    };
  };

  it('keeps to rpm, and begins afresh with each minute', () => {
    const { strategy, at } = setup();
    const candidates = [candidate('a', { rpm: 2 }), candidate('b', { rpm: 6 })];
    const minute = (): string =>
      Array.from({ length: 8 }, () => strategy.select(request(), candidates)?.id)
        .toSorted()
        .join('');
    assert.equal(minute(), 'aabbbbbb');
    at(60_000);
    assert.equal(minute(), 'aabbbbbb');
  });

  it('keeps to tpm', () => {
    const { strategy } = setup();
    const [a, b] = [candidate('a', { tpm: 100 }), candidate('b', { tpm: 1000 })] as const;
    strategy.observe(result(a, { usage: tokens(100) }));
    strategy.observe(result(b, { usage: tokens(900) }));
    assert.equal(strategy.select(request(), [a, b]), b);
  });

  it('balances tokens where there are no limits, and passes over a limit that is reached', () => {
    const { strategy } = setup();
    const [a, b, c] = [candidate('a'), candidate('b'), candidate('c', { rpm: 1 })] as const;
    strategy.select(request(), [c]);
    strategy.observe(result(a, { usage: tokens(10) }));
    strategy.observe(result(b, { usage: tokens(5) }));
    assert.equal(strategy.select(request(), [a, b, c]), b);
  });

  it('refuses, until the next minute, when every candidate has reached a limit', () => {
    const { strategy, at } = setup();
    const [a, b, open] = [
      candidate('a', { rpm: 1 }),
      candidate('b', { tpm: 10 }),
      candidate('open'),
    ] as const;
    at(15_000);
    assert.equal(strategy.select(request(), [a]), a);
    strategy.observe(result(b, { usage: tokens(10) }));
    assert.throws(() => strategy.select(request(), [a, b]), {
      code: 'rate_limit_exceeded',
      headers: { 'retry-after': '45' },
    });
    assert.equal(strategy.select(request(), [a, b, open]), open);
    assert.throws(() => strategy.select(request(), [candidate('never', { rpm: 0 })]), { status: 429 });
    at(60_000);
    assert.equal(strategy.select(request(), [a]), a);
  });

  it('counts what other gateways have used, without waiting for the store', async () => {
    const storage = memory();
    const shared = { storage, syncMs: 10 };
    const [one, two] = [setup({ shared }), setup({ shared })];
    const [a, b] = [candidate('a', { rpm: 10 }), candidate('b', { rpm: 10 })] as const;
    for (let calls = 0; calls < 4; calls++) one.strategy.select(request(), [a]);
    one.at(20);
    one.strategy.select(request(), [a]);
    two.strategy.select(request(), [a]);
    await storage.settled();
    assert.equal(two.strategy.select(request(), [a, b]), b);
  });

  it('goes by its own counts when the store fails, and says so', async () => {
    const warned = Promise.withResolvers<string>();
    const storage = { ...memory(), increment: () => Promise.reject(new Error('gone')) };
    const { strategy } = setup({
      shared: { storage, syncMs: 10 },
      logger: { warn: (message: string) => void warned.resolve(message) } as never,
    });
    const candidates = [candidate('a', { rpm: 2 }), candidate('b', { rpm: 2 })];
    assert.deepEqual(
      [1, 2].map(() => strategy.select(request(), candidates)?.id),
      ['a', 'b'],
    );
    assert.match(await warned.promise, /could not be shared/);
  });
});

describe('consistent-hash', () => {
  const strategy = new ConsistentHash(1.25);
  const candidates = ['a', 'b', 'c', 'd'].map((name) => candidate(name));
  const ask = (text: string): LlmRequest =>
    request({ body: { messages: [{ role: 'user', content: text }] } });

  it('sends a conversation to one deployment, however it goes on', () => {
    const beginning = [
      { role: 'system', content: 'Be brief' },
      { role: 'user', content: 'Hello' },
    ];
    const later = [...beginning, { role: 'assistant', content: 'Hi' }, { role: 'user', content: 'More' }];
    const choose = (messages: readonly unknown[]): unknown =>
      strategy.select(request({ body: { messages } }), candidates, idle(candidates));
    assert.equal(choose(beginning), choose(later));
  });

  it("takes the client's own key where it has one", () => {
    assert.equal(affinityKey({ id: '1', body: { prompt_cache_key: 'k', input: 'x' } }), 'k');
    assert.notEqual(affinityKey({ id: '1', body: {} }), affinityKey({ id: '2', body: {} }));
  });

  it('moves only the prompts of a deployment that goes', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(3), (text, gone) => {
        const before = strategy.select(ask(text), candidates, idle(candidates));
        const left = candidates.filter((_each, index) => index !== gone);
        const after = strategy.select(ask(text), left, idle(left));
        if (before !== candidates[gone]) assert.equal(after, before);
      }),
    );
  });

  it('spreads prompts in proportion to the weights', () => {
    const list = [candidate('a', { weight: 3 }), candidate('b'), candidate('c', { weight: 0 })];
    const counts = new Map<unknown, number>();
    for (let index = 0; index < 4000; index++) {
      const chosen = id(strategy.select(ask(`prompt ${index}`), list, idle(list)));
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
    }
    assert.equal(counts.get('c'), undefined);
    assert.ok(Math.abs((counts.get('a') ?? 0) - 3000) < 150);
  });

  it('never goes far beyond the average load, and always finds room', () => {
    const loads = fc.array(fc.nat(50), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.string(), loads, (text, inFlight) => {
        const chosen = strategy.select(ask(text), candidates, { inFlight });
        const load = inFlight[candidates.indexOf(chosen as Candidate)] as number;
        const average = (inFlight.reduce((total, each) => total + each, 0) + 1) / 4;
        assert.ok(load < Math.ceil(1.25 * average));
      }),
    );
  });
});

const SILENT = { warn: () => undefined } as never;

function candidate(name: string, fields: Partial<Candidate> = {}): Candidate {
  return {
    id: name,
    group: 'm',
    model: 'm',
    provider: 'openai',
    weight: 1,
    rpm: null,
    tpm: null,
    order: null,
    inputCostPerToken: null,
    outputCostPerToken: null,
    ...fields,
  };
}

function request(fields: Partial<LlmRequest> = {}): LlmRequest {
  return {
    id: 'req-1',
    surface: 'chat',
    model: 'm',
    stream: false,
    body: {},
    identity: null,
    signal: new AbortController().signal,
    ...fields,
  } as LlmRequest;
}

function result(deployment: Candidate, fields: Partial<RouteResult>): RouteResult {
  return {
    requestId: 'req-1',
    deployment,
    ok: true,
    status: 200,
    totalMs: 100,
    firstByteMs: 10,
    firstTokenMs: null,
    usage: null,
    ...fields,
  };
}

function tokens(count: number): RouteResult['usage'] {
  return { promptTokens: 0, completionTokens: count, totalTokens: count };
}

function idle(candidates: readonly Candidate[]): { readonly inFlight: readonly number[] } {
  return { inFlight: candidates.map(() => 0) };
}

function id(chosen: unknown): unknown {
  return (chosen as Candidate | undefined)?.id;
}

/** The part of a store that is used here; `settled` resolves when nothing is under way. */
function memory(): NonNullable<UsageCountsOptions['shared']>['storage'] & { settled(): Promise<void> } {
  const values = new Map<string, number>();
  const running: Promise<unknown>[] = [];
  const unused = async (): Promise<never> => assert.fail('not used');
  return {
    get: unused as () => Promise<StorageValue | undefined>,
    set: unused,
    delete: unused,
    compareAndSet: unused,
    list: unused,
    increment(key, by = 1) {
      const sum = (values.get(key) ?? 0) + by;
      values.set(key, sum);
      const answer = Promise.resolve(sum);
      running.push(answer);
      return answer;
    },
    async settled() {
      await Promise.all(running);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
