import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { ExportQueue } from '../../src/pipeline/exporters.ts';
import type { CallRecord, Exporter } from '../../src/plugin-api/exporter.ts';
import { kinds, signal } from '../containment/support.ts';
import {
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

function record(id: string): CallRecord {
  return {
    id,
    surface: 'chat.completions',
    operation: 'chat',
    model: 'echo',
    upstreamModel: null,
    deployment: 'echo/0',
    provider: 'echo',
    identity: null,
    stream: false,
    status: 200,
    error: null,
    attempts: 1,
    usage: null,
    costUsd: null,
    plugins: [],
    firstTokenMs: null,
    startedAt: 0,
    totalMs: 1,
    firstByteMs: 1,
    trace: null,
  };
}

function exporting(
  name: string,
  exporter: Partial<Record<'export' | 'flush', unknown>>,
  options?: MemberOptions,
): TestMember {
  const whole = { name, export: () => undefined, ...exporter } as Exporter;
  return createMember(name, (bag) => void bag.exporters.push(whole), options);
}

/** An exporter that remembers the ids of each batch. */
function remembering(name: string): { readonly member: TestMember; readonly batches: string[][] } {
  const batches: string[][] = [];
  const member = exporting(name, {
    export: (batch: readonly CallRecord[]) => void batches.push(batch.map(({ id }) => id)),
  });
  return { member, batches };
}

const NEVER_MS = 1_000_000;

function queueOf(
  members: readonly TestMember[],
  batchSize = 2,
  maxPending = 100,
): { queue: ExportQueue; add: (...ids: string[]) => void } {
  const queue = new ExportQueue(new Containment(), { batchSize, intervalMs: NEVER_MS, maxPending });
  const phase = queue.compile(members);
  assert.ok(phase);
  return {
    queue,
    add: (...ids) =>
      ids.forEach((id) => {
        phase(record(id));
      }),
  };
}

describe('the export phase', () => {
  it('is null when no plugin exports', () => {
    const queue = new ExportQueue(new Containment());
    assert.equal(queue.compile([createMember('a', () => undefined), createMember('b', null)]), null);
  });

  it('sends a full batch to every exporter, off the request’s path', async () => {
    const [a, b] = [remembering('a'), remembering('b')];
    const { queue, add } = queueOf([a.member, b.member]);
    add('1', '2');
    assert.deepEqual(a.batches, []);
    add('3');
    await queue.flush();
    assert.deepEqual(a.batches.flat(), ['1', '2', '3']);
    assert.deepEqual(b.batches, a.batches);
  });

  it('sends what is there when the interval ends', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { member, batches } = remembering('a');
    const queue = new ExportQueue(new Containment(), { batchSize: 100, intervalMs: 50, maxPending: 100 });
    queue.compile([member])?.(record('1'));
    t.mock.timers.tick(49);
    assert.deepEqual(batches, []);
    t.mock.timers.tick(1);
    return Promise.resolve().then(() => assert.deepEqual(batches, [['1']]));
  });

  it('gives a frozen batch: no exporter changes what another sees', async () => {
    const bad = exporting('bad', { export: (batch: CallRecord[]) => void batch.pop() });
    const worse = exporting('worse', {
      export: ([first]: { id: string }[]) => {
        if (first) first.id = 'forged';
      },
    });
    const good = remembering('good');
    const { queue, add } = queueOf([bad, worse, good.member]);
    add('1', '2');
    await queue.flush();
    assert.deepEqual(good.batches, [['1', '2']]);
    assert.deepEqual([kinds(bad.owner), kinds(worse.owner)], [['exporter error'], ['exporter error']]);
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`counts an exporter that ${how}, and the others get their batch`, async () => {
      const bad = exporting('bad', { export: fail }, { callTimeoutMs: 10 });
      const good = remembering('good');
      const { queue, add } = queueOf([bad, good.member]);
      add('1', '2');
      await queue.flush();
      assert.deepEqual(good.batches, [['1', '2']]);
      assert.deepEqual(kinds(bad.owner), [`exporter ${kind}`]);
    });

    it(`counts an exporter whose flush ${how}, and the others are flushed`, async () => {
      let flushed = false;
      const bad = exporting('bad', { flush: fail }, { callTimeoutMs: 10 });
      const good = exporting('good', {
        flush: () => {
          flushed = true;
        },
      });
      await queueOf([bad, good]).queue.flush();
      assert.equal(flushed, true);
      assert.deepEqual(kinds(bad.owner), [`exporter ${kind}`]);
    });
  }

  it('takes a thrown 4xx for what it is: nobody is there to be refused', async () => {
    const { queue, add } = queueOf([exporting('a', { export: () => Promise.reject(refusal(404)) })]);
    add('1', '2');
    await queue.flush();
  });

  it('never runs an exporter beside itself; what came meanwhile is the next batch', async () => {
    const first = signal();
    const batches: number[] = [];
    let running = 0;
    const slow = exporting('slow', {
      async export(batch: readonly CallRecord[]) {
        assert.equal(++running, 1);
        batches.push(batch.length);
        if (batches.length === 1) await first.done;
        running--;
      },
    });
    const { queue, add } = queueOf([slow]);
    add('1', '2');
    await Promise.resolve();
    add('3', '4', '5', '6', '7');
    first.resolve();
    await queue.flush();
    assert.deepEqual(batches, [2, 5]);
    assert.deepEqual(kinds(slow.owner), []);
  });

  it('drops the oldest and counts them when exporters are too slow', async () => {
    const first = signal();
    const seen: string[] = [];
    const slow = exporting('slow', {
      async export(batch: readonly CallRecord[]) {
        seen.push(...batch.map(({ id }) => id));
        await first.done;
      },
    });
    const { queue, add } = queueOf([slow], 2, 3);
    add('1', '2');
    await Promise.resolve();
    add('3', '4', '5', '6', '7');
    assert.equal(queue.dropped, 2);
    first.resolve();
    await queue.flush();
    assert.deepEqual(seen, ['1', '2', '5', '6', '7']);
  });

  it('flushes after the last batch', async () => {
    const order: string[] = [];
    const { queue, add } = queueOf([
      exporting('a', { export: () => void order.push('export'), flush: () => void order.push('flush') }),
    ]);
    add('1');
    await queue.flush();
    assert.deepEqual(order, ['export', 'flush']);
  });

  it('skips a quarantined plugin, unless a trial is due', async () => {
    const good = remembering('good');
    const gate = createGate(true);
    const { queue, add } = queueOf([
      exporting('resting', { export: () => assert.fail('asked') }, { gate: createGate(false) }),
      exporting('tried', {}, { gate }),
      good.member,
    ]);
    add('1', '2');
    await queue.flush();
    assert.deepEqual(good.batches, [['1', '2']]);
    assert.equal(gate.trials[0], true);
  });

  it('hands what is pending when the pipeline is swapped to the exporters of the next', async () => {
    const [old, next] = [remembering('old'), remembering('next')];
    const { queue, add } = queueOf([old.member], 100);
    add('1');
    queue.compile([next.member]);
    await queue.flush();
    assert.deepEqual([old.batches, next.batches], [[], [['1']]]);
  });
});
