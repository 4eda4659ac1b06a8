import assert from 'node:assert/strict';
import { once } from 'node:events';
import { getDefaultHighWaterMark } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeMessage } from '../../src/isolation/channel/frames.ts';
import { channelAndPipe, connectedPair, NO_LIMITS } from './channel-pair.ts';

const COUNT = 10_000;

test('a flood of messages is taken in portions, in its order, and others have their turns between', async (t) => {
  const heard: unknown[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  const { far } = await connectedPair(t, {
    near: {
      serve: (_method, params) => params,
      hear: (_notice, params) => {
        heard.push(params);
        spin(0.05);
        if (heard.length === COUNT) resolve();
      },
    },
  });
  for (let n = 0; n < COUNT; n++) far.notify('n', n);
  const answer = far.call('echo', 'after the flood').then((value) => ({ value, heard: heard.length }));
  let turns = 0;
  let mostInATurn = 0;
  while (heard.length < COUNT) {
    const before = heard.length;
    await nextTurn();
    turns++;
    mostInATurn = Math.max(mostInATurn, heard.length - before);
  }
  await all;
  assert.deepEqual(heard, [...Array(COUNT).keys()]);
  assert.deepEqual(await answer, { value: 'after the flood', heard: COUNT });
  // One read has more than a thousand of them.
  assert.ok(mostInATurn < 100, `${turns} turns, ${mostInATurn} in one of them`);
});

test('a channel that breaks in the middle of a flood hears nothing more of it', async (t) => {
  let heard = 0;
  const { near, far } = await connectedPair(t, {
    near: {
      hear: () => {
        heard++;
        if (heard === 10) near.break(new Error('enough'));
      },
    },
  });
  for (let n = 0; n < COUNT; n++) far.notify('n', n);
  while (heard < 10) await nextTurn();
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  assert.equal(heard, 10);
});

test('who has used up its share of the loop waits for more of it', async (t) => {
  let heard = 0;
  const { near, far } = await connectedPair(t, {
    near: {
      limits: { ...NO_LIMITS, loopShare: 1e-6 },
      hear: () => {
        heard++;
        spin(0.3);
      },
    },
  });
  for (let n = 0; n < COUNT; n++) far.notify('n', n);
  while (heard === 0) await nextTurn();
  for (let turn = 0; turn < 500; turn++) await nextTurn();
  assert.ok(heard < 100, `${heard} were heard`);
  near.break(new Error('enough'));
});

test('who floods has to wait: what has been read and not been taken stays within one read', async () => {
  let heardBytes = 0;
  const frame = encodeMessage(JSON.stringify({ m: 'n', p: 'x'.repeat(1000) }));
  const { pipe } = channelAndPipe({
    hear: () => {
      heardBytes += frame.length;
    },
  });
  let sentBytes = 0;
  let mostWaiting = 0;
  for (let n = 0; n < COUNT; n++) {
    sentBytes += frame.length;
    if (!pipe.write(frame)) await once(pipe, 'drain');
    mostWaiting = Math.max(mostWaiting, sentBytes - pipe.writableLength - heardBytes);
  }
  while (heardBytes < sentBytes) await nextTurn();
  const aRead = getDefaultHighWaterMark(false) + frame.length;
  assert.ok(mostWaiting <= 2 * aRead, `${mostWaiting} bytes`);
});

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
