import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeFrame, encodeMessage, FRAME, RubbishError } from '../../src/isolation/channel/frames.ts';
import type { ServedCall } from '../../src/isolation/channel/serving.ts';
import { channelAndPipe, channelPair } from './channel-pair.ts';

/** The window and a chunk, as src/isolation/channel/streams.ts has them. */
const MOST_AHEAD_BYTES = 262_144 + 65_536;

describe('who waits for answers', () => {
  test('is told of each call, and of its end: answered, failed or given up', async () => {
    const told: string[] = [];
    const { near } = channelPair({
      near: {
        answers: {
          begin: (call) => told.push(`begin ${call}`),
          end: (call) => told.push(`end ${call}`),
        },
      },
      far: {
        serve: (method) => {
          if (method === 'fails') throw new Error('no');
          return method === 'slow' ? new Promise(() => undefined) : 'done';
        },
      },
    });
    await near.call('quick', null);
    await assert.rejects(near.call('fails', null), { message: 'no' });
    const giveUp = new AbortController();
    const slow = near.call('slow', null, { signal: giveUp.signal });
    near.notify('unheard', null);
    giveUp.abort(new Error('enough'));
    await assert.rejects(slow, { message: 'enough' });
    assert.deepEqual(told, ['begin 1', 'end 1', 'begin 2', 'end 2', 'begin 3', 'end 3']);
  });
});

describe('late answers', () => {
  test('a call that was given up is told so, and its answer and its events are discarded', async () => {
    const answer = Promise.withResolvers<string>();
    const served: ServedCall[] = [];
    const events: unknown[] = [];
    const { near } = channelPair({
      far: {
        serve: (method, _params, call) => {
          if (method !== 'slow') return 'next';
          served.push(call);
          call.emit('begun', 1);
          return answer.promise;
        },
      },
    });
    const giveUp = new AbortController();
    const call = near.call('slow', null, {
      signal: giveUp.signal,
      onEvent: (event) => void events.push(event),
    });
    while (events.length === 0) await nextTurn();
    giveUp.abort(new Error('enough'));
    await assert.rejects(call, { message: 'enough' });
    while (served[0]?.signal.aborted !== true) await nextTurn();
    served[0].emit('late', 2);
    answer.resolve('late');
    assert.equal(await near.call('quick', null), 'next');
    assert.deepEqual(events, ['begun']);
  });

  test('an answer that was on its way when the channel broke is discarded', async () => {
    const answer = Promise.withResolvers<string>();
    const { near, far } = channelPair({ far: { serve: () => answer.promise } });
    const call = near.call('slow', null);
    const stream = near.accept(far.open().id);
    await nextTurn();
    answer.resolve('late');
    near.break(new Error('killed'));
    await assert.rejects(call, { message: 'killed' });
    await assert.rejects(near.call('another', null), { message: 'killed' });
    await assert.rejects(stream.toArray(), { message: 'killed' });
  });

  test('answers that nobody asked for are discarded, but a flood of them is not suffered', async () => {
    const lost = Promise.withResolvers<Error>();
    const limits = { messageBytes: 1000, framesPerSecond: 100, callsAtOnce: 1, loopShare: 1 };
    const { channel, pipe } = channelAndPipe({ limits, onLost: lost.resolve });
    const call = channel.call('slow', null);
    for (let n = 1000; n < 1100; n++) pipe.write(encodeMessage(JSON.stringify({ r: n, p: 'forged' })));
    pipe.write(encodeMessage(JSON.stringify({ r: 1, p: 'true' })));
    assert.equal(await call, 'true');
    pipe.write(encodeMessage(JSON.stringify({ r: 1, p: 'once more' })));
    assert.ok((await lost.promise) instanceof RubbishError);
  });
});

describe('streams', () => {
  test('who writes waits while nobody reads, and all arrives when somebody does', async () => {
    const { near, far } = channelPair({});
    const outgoing = far.open();
    const incoming = near.accept(outgoing.id);
    const piece = Buffer.alloc(16_384, 'x');
    let written = 0;
    let accepted = 0;
    for (let n = 0; n < 100; n++) {
      written += piece.length;
      outgoing.write(piece, () => {
        accepted += piece.length;
      });
    }
    outgoing.end();
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    assert.ok(accepted <= MOST_AHEAD_BYTES, `${accepted} bytes were let out`);
    assert.equal(Buffer.concat(await incoming.toArray()).length, written);
    assert.equal(accepted, written);
  });

  test('who writes without waiting is not suffered', async () => {
    const lost = Promise.withResolvers<Error>();
    const { channel, pipe } = channelAndPipe({ onLost: lost.resolve });
    const incoming = channel.accept(1);
    const data = encodeFrame(FRAME.DATA, 1, Buffer.alloc(65_536));
    for (let bytes = 0; bytes <= MOST_AHEAD_BYTES; bytes += 65_536) for (const part of data) pipe.write(part);
    assert.match((await lost.promise).message, /more of a stream than it was given credit for/);
    await assert.rejects(incoming.toArray());
  });
});
