import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Channel, type ChannelOptions } from '../../src/isolation/channel/channel.ts';

const LIMITS = { messageBytes: 1_048_576, framesPerSecond: Number.POSITIVE_INFINITY, callsAtOnce: 1_000_000 };
const COUNT = 30_000;

function pair(options: Pick<ChannelOptions, 'serve' | 'hear'>): { near: Channel; far: Channel } {
  const [one, other] = duplexPair();
  const onLost = (reason: Error): void => near.break(reason);
  const near: Channel = new Channel(one, { side: 0, limits: LIMITS, onLost, ...options });
  const far = new Channel(other, {
    side: 1,
    limits: LIMITS,
    serve: () => undefined,
    hear: () => undefined,
    onLost: () => undefined,
  });
  return { near, far };
}

test('a flood of messages is taken in portions, in its order, and others have their turns between', async () => {
  const heard: unknown[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  const { far } = pair({
    serve: (_method, params) => params,
    hear: (_notice, params) => {
      heard.push(params);
      if (heard.length === COUNT) resolve();
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
  assert.ok(turns > 1 && mostInATurn < COUNT, `${turns} turns, ${mostInATurn} in one of them`);
});

test('a channel that breaks in the middle of a flood hears nothing more of it', async () => {
  let heard = 0;
  const { near, far } = pair({
    serve: () => undefined,
    hear: () => {
      heard++;
      if (heard === 10) near.break(new Error('enough'));
    },
  });
  for (let n = 0; n < COUNT; n++) far.notify('n', n);
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  assert.equal(heard, 10);
});
