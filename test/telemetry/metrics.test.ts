import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MetricOptions } from '../../src/plugin-api/metrics.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';

async function scrape(metrics: Metrics): Promise<string[]> {
  return (await metrics.render()).body.split('\n');
}

async function assertShows(metrics: Metrics, ...lines: string[]): Promise<void> {
  const shown = await scrape(metrics);
  for (const line of lines) assert.ok(shown.includes(line), `expected ${line}, saw\n${shown.join('\n')}`);
}

describe('the metrics of the gateway', () => {
  it('are Prometheus text with the process in it', async () => {
    const { contentType, body } = await createMetrics().render();
    assert.match(contentType, /^text\/plain; version=0\.0\.4/);
    assert.match(body, /^process_resident_memory_bytes \d+/m);
    assert.match(body, /^nodejs_eventloop_lag_seconds /m);
  });

  it('show what calls into plugins cost, as counted so far', async () => {
    const metrics = createMetrics();
    const counters = metrics.ledger.phase('a', 'route');
    assert.equal(metrics.ledger.phase('a', 'route'), counters);
    Object.assign(counters, { calls: 3, failures: 2, timeouts: 1, seconds: 0.25 });
    const labels = '{plugin="a",phase="route"}';
    await assertShows(
      metrics,
      `llmrouter_plugin_calls_total${labels} 3`,
      `llmrouter_plugin_failures_total${labels} 2`,
      `llmrouter_plugin_timeouts_total${labels} 1`,
      `llmrouter_plugin_seconds_total${labels} 0.25`,
    );
    counters.calls++;
    await assertShows(metrics, `llmrouter_plugin_calls_total${labels} 4`);
  });

  it('show the state that each plugin is in, and none that it has left', async () => {
    const metrics = createMetrics();
    let state = 'started';
    metrics.observePlugins(() => [{ name: 'constructor', state }]);
    await assertShows(metrics, 'llmrouter_plugin_state{plugin="constructor",state="started"} 1');
    state = 'quarantined';
    const lines = await scrape(metrics);
    assert.ok(lines.includes('llmrouter_plugin_state{plugin="constructor",state="quarantined"} 1'));
    assert.ok(!lines.some((line) => line.includes('"started"')));
  });

  it('show the answers of the server', async () => {
    const metrics = createMetrics();
    metrics.observeHttp({ rows: () => [{ surface: 'data', method: 'POST', status: '2xx', count: 7 }] });
    await assertShows(metrics, 'llmrouter_http_responses_total{surface="data",method="POST",status="2xx"} 7');
  });

  it('are those of one gateway alone', async () => {
    const [one, other] = [createMetrics(), createMetrics()];
    one.forPlugin('p').counter('hits').inc();
    assert.ok(!(await scrape(other)).some((line) => line.includes('hits')));
  });
});

describe("a plugin's metrics", () => {
  it('carry its name', async () => {
    const metrics = createMetrics();
    const mine = metrics.forPlugin('my-plugin');
    mine.counter('hits', { help: 'Hits', labelNames: ['kind'] }).inc({ kind: 'a' }, 2);
    const gauge = mine.gauge('open');
    gauge.set(5);
    gauge.inc();
    gauge.dec({}, 3);
    mine.histogram('seconds', { buckets: [1, 2] }).observe(1.5);
    await assertShows(
      metrics,
      '# HELP llmrouter_plugin_my_plugin_hits Hits',
      'llmrouter_plugin_my_plugin_hits{kind="a"} 2',
      'llmrouter_plugin_my_plugin_open 3',
      'llmrouter_plugin_my_plugin_seconds_bucket{le="1"} 0',
      'llmrouter_plugin_my_plugin_seconds_bucket{le="2"} 1',
      'llmrouter_plugin_my_plugin_seconds_sum 1.5',
    );
  });

  it('may be told the number first, or the labels', async () => {
    const metrics = createMetrics();
    const mine = metrics.forPlugin('p');
    const options = { labelNames: ['a'] };
    const plain = mine.counter('plain');
    plain.inc(3);
    plain.inc();
    const hits = mine.counter('hits', options);
    hits.inc({ a: 1 }, 2);
    hits.inc(2, { a: 1 });
    const open = mine.gauge('open', options);
    open.set({ a: 1 }, 7);
    open.inc(2, { a: 1 });
    open.dec({ a: 1 }, 1);
    mine.gauge('level').inc(4);
    mine.histogram('seconds', options).observe({ a: 1 }, 2.5);
    await assertShows(
      metrics,
      'llmrouter_plugin_p_plain 4',
      'llmrouter_plugin_p_hits{a="1"} 4',
      'llmrouter_plugin_p_open{a="1"} 8',
      'llmrouter_plugin_p_level 4',
      'llmrouter_plugin_p_seconds_sum{a="1"} 2.5',
    );
  });

  it('are the same when asked for twice', async () => {
    const metrics = createMetrics();
    const options = { labelNames: ['x'] };
    const first = metrics.forPlugin('p').counter('hits', options);
    assert.equal(metrics.forPlugin('p').counter('hits', options), first);
    assert.equal(metrics.forPlugin('p').counter('hits'), first);
  });

  const pairs: [one: [string, string], other: [string, string]][] = [
    [
      ['a-b', 'c'],
      ['a_b', 'c'],
    ],
    [
      ['a-b', 'c'],
      ['a.b', 'c'],
    ],
    [
      ['a', 'b_c'],
      ['a-b', 'c'],
    ],
  ];
  for (const [[pluginA, nameA], [pluginB, nameB]] of pairs) {
    it(`of ${pluginA} and ${pluginB} stay apart where the names meet`, async () => {
      const metrics = createMetrics();
      metrics.forPlugin(pluginA).counter(nameA).inc({}, 1);
      metrics.forPlugin(pluginB).counter(nameB).inc({}, 10);
      const lines = (await scrape(metrics)).filter((line) => line.startsWith('llmrouter_plugin_a_b_c'));
      assert.equal(lines.length, 2);
      assert.equal(lines[0], 'llmrouter_plugin_a_b_c 1');
      assert.match(lines[1] ?? '', /^llmrouter_plugin_a_b_c_[0-9a-f]{8} 10$/);
    });
  }

  it('stay apart from the series of a histogram', async () => {
    const metrics = createMetrics();
    metrics.forPlugin('p').histogram('x').observe(1);
    metrics.forPlugin('p').counter('x_count').inc({}, 7);
    const lines = await scrape(metrics);
    assert.ok(lines.includes('llmrouter_plugin_p_x_count 1'));
    assert.ok(lines.some((line) => /^llmrouter_plugin_p_x_count_[0-9a-f]{8} 7$/.test(line)));
  });

  it("cannot reach the gateway's own", async () => {
    const metrics = createMetrics();
    metrics.forPlugin('calls').counter('total').inc({}, 99);
    metrics.ledger.phase('a', 'route').calls++;
    await assertShows(metrics, 'llmrouter_plugin_calls_total{plugin="a",phase="route"} 1');
  });

  it('hold a thousand series each, and count the rest as overflow', async () => {
    const metrics = createMetrics();
    const hits = metrics.forPlugin('p').counter('hits', { labelNames: ['user'] });
    for (let n = 0; n < 1200; n++) hits.inc({ user: `u${n}` });
    hits.inc({ user: 'u0' });
    const lines = (await scrape(metrics)).filter((line) => line.startsWith('llmrouter_plugin_p_hits'));
    assert.equal(lines.length, 1001);
    assert.ok(lines.includes('llmrouter_plugin_p_hits{user="u0"} 2'));
    assert.ok(lines.includes('llmrouter_plugin_p_hits{user="overflow"} 200'));
  });

  it('have one series for each combination of labels, whoever tells them in which order', async () => {
    const metrics = createMetrics();
    const options = { labelNames: ['a', 'b'] };
    const hits = metrics.forPlugin('p').counter('hits', options);
    hits.inc({ a: 1, b: 'x' });
    hits.inc({ b: 'x', a: '1' });
    hits.inc({ a: 'x', b: 1 });
    hits.inc({ a: 1 });
    hits.inc({ b: 1 });
    hits.inc();
    hits.inc({ a: '', b: '' });
    assert.deepEqual(
      (await scrape(metrics)).filter((line) => line.startsWith('llmrouter_plugin_p_hits')),
      [
        'llmrouter_plugin_p_hits{a="1",b="x"} 2',
        'llmrouter_plugin_p_hits{a="x",b="1"} 1',
        'llmrouter_plugin_p_hits{a="1"} 1',
        'llmrouter_plugin_p_hits{b="1"} 1',
        'llmrouter_plugin_p_hits 1',
        'llmrouter_plugin_p_hits{a="",b=""} 1',
      ],
    );
  });

  it('put what overflows to a series that is called so by itself', async () => {
    const metrics = createMetrics();
    const open = metrics.forPlugin('p').gauge('open', { labelNames: ['user'] });
    open.set({ user: 'overflow' }, 1);
    for (let n = 1; n < 1000; n++) open.set({ user: `u${n}` }, 1);
    open.inc({ user: 'one more' });
    await assertShows(metrics, 'llmrouter_plugin_p_open{user="overflow"} 2');
  });

  it('stand where they stand, however often they are scraped', async () => {
    const metrics = createMetrics();
    const mine = metrics.forPlugin('p');
    const hits = mine.counter('hits', { labelNames: ['a'] });
    const open = mine.gauge('open');
    hits.inc({ a: 1 }, 2);
    open.set(3);
    await scrape(metrics);
    await assertShows(metrics, 'llmrouter_plugin_p_hits{a="1"} 2', 'llmrouter_plugin_p_open 3');
    hits.inc({ a: 1 });
    open.dec();
    await assertShows(metrics, 'llmrouter_plugin_p_hits{a="1"} 3', 'llmrouter_plugin_p_open 2');
  });

  it('refuse a sum that is too large for a number, and are scraped as before', async () => {
    const metrics = createMetrics();
    const mine = metrics.forPlugin('p');
    const hits = mine.counter('hits');
    const open = mine.gauge('open');
    for (const metric of [hits, open]) {
      metric.inc(Number.MAX_VALUE);
      assert.throws(() => metric.inc(Number.MAX_VALUE), RangeError);
    }
    const most = String(Number.MAX_VALUE);
    await assertShows(metrics, `llmrouter_plugin_p_hits ${most}`, `llmrouter_plugin_p_open ${most}`);
  });

  it('do not show what was refused', async () => {
    const metrics = createMetrics();
    const hits = metrics.forPlugin('p').counter('hits', { labelNames: ['a'] });
    assert.throws(() => hits.inc({ a: 'wrong' }, -1), RangeError);
    assert.throws(() => hits.inc({ a: 'wrong', b: 1 }), RangeError);
    assert.ok(!(await scrape(metrics)).some((line) => line.includes('wrong')));
  });

  it('cut label values, which cannot forge a line', async () => {
    const metrics = createMetrics();
    const hits = metrics.forPlugin('p').counter('hits', { labelNames: ['user'] });
    hits.inc({ user: `"} 1\nforged 1\n${'x'.repeat(10_000)}` });
    const lines = await scrape(metrics);
    assert.ok(!lines.includes('forged 1'));
    assert.ok(lines.every((line) => line.length < 400));
  });

  it('refuse wrong use with an error that names plugin and metric', () => {
    const mine = createMetrics().forPlugin('p');
    const hits = mine.counter('hits', { labelNames: ['a'] });
    const wrong: (() => unknown)[] = [
      () => hits.inc({ a: 1 }, -1),
      () => hits.inc({ a: 1 }, Number.NaN),
      () => hits.inc({ a: 1 }, '1' as unknown as number),
      () => hits.inc({ b: 1 }),
      () => hits.inc('a' as unknown as number),
      () => hits.inc(1, 2 as unknown as Record<string, number>),
      () => hits.inc({ constructor: 1 } as unknown as Record<string, number>),
      () => mine.gauge('hits'),
      () => mine.counter('hits', { labelNames: ['b'] }),
      () => mine.histogram('hits_seconds', { labelNames: ['le'] }),
      () => mine.histogram('hits_seconds', { buckets: [2, 1] }),
      () => mine.gauge('hits_open', { labelNames: 'a' as unknown as string[] }),
      () => mine.gauge('hits_open').set(Number.POSITIVE_INFINITY),
      () => mine.histogram('hits_size').observe(undefined as unknown as number),
    ];
    for (const act of wrong) assert.throws(act, /^\w+: Plugin "p", metric "hits\w*": /);
    for (const name of ['', '1a', 'a-b', 'a b', '__a', 'a\n', 'x'.repeat(200), 1, undefined, null]) {
      assert.throws(
        () => mine.counter(name as string),
        /^PluginLoadError: Plugin "p", metric .+expected a name/,
      );
    }
  });

  it('leave nothing behind when a definition was refused', async () => {
    const metrics = createMetrics();
    const mine = metrics.forPlugin('p');
    assert.throws(() => mine.histogram('size', { buckets: [2, 1] }));
    mine.histogram('size', { buckets: [1, 2] }).observe(1);
    await assertShows(metrics, 'llmrouter_plugin_p_size_count 1');
  });

  it('are at most five hundred', () => {
    const mine = createMetrics().forPlugin('p');
    const options: MetricOptions = {};
    for (let n = 0; n < 500; n++) mine.counter(`c${n}`, options);
    assert.throws(() => mine.counter('one_more'), /at most 500/);
    mine.counter('c0').inc();
  });
});
