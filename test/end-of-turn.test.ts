import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EndOfTurn, type TurnTask } from '../src/end-of-turn.ts';

describe('the end of a turn', () => {
  it('comes behind all that the turn brings, and does the tasks in their order', async () => {
    const endOfTurn = await busy();
    const seen: string[] = [];
    endOfTurn.add(task(() => seen.push('first')));
    process.nextTick(() => {
      seen.push('tick');
      queueMicrotask(() => {
        seen.push('microtask');
        endOfTurn.add(task(() => seen.push('second')));
      });
    });
    await nextTurn();
    assert.deepEqual(seen, ['tick', 'microtask', 'first', 'second']);
  });

  it('is now for who is alone', async () => {
    const endOfTurn = await busy();
    const seen: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      endOfTurn.add(task(() => seen.push(name)));
      seen.push('next');
      await nextTurn();
    }
    // The turn before the first brought several.
    assert.deepEqual(seen, ['next', 'a', 'b', 'next', 'c', 'next']);
  });

  it('is waited for by the second of a turn whose first was alone', async () => {
    const endOfTurn = new EndOfTurn();
    const seen: string[] = [];
    endOfTurn.add(task(() => seen.push('first')));
    endOfTurn.add(task(() => seen.push('second')));
    assert.deepEqual(seen, ['first']);
    await nextTurn();
    assert.deepEqual(seen, ['first', 'second']);
  });

  it('takes tasks out of a task', async () => {
    const endOfTurn = await busy();
    const seen: string[] = [];
    endOfTurn.add(
      task(() => {
        seen.push('outer');
        endOfTurn.add(task(() => seen.push('inner')));
      }),
    );
    await nextTurn();
    await nextTurn();
    assert.deepEqual(seen, ['outer', 'inner']);
  });

  it('does not have the first of many wait for all', async () => {
    const endOfTurn = await busy();
    let done = 0;
    const counting = task(() => done++);
    for (let count = 0; count < 31; count++) endOfTurn.add(counting);
    assert.equal(done, 0);
    endOfTurn.add(counting);
    assert.equal(done, 32);
    endOfTurn.add(counting);
    assert.equal(done, 32);
    await nextTurn();
    assert.equal(done, 33);
  });

  it('is nobody’s: tasks do not run in the context of who adds them', async () => {
    const context = new AsyncLocalStorage<string>();
    const endOfTurn = new EndOfTurn();
    const seen: (string | undefined)[] = [];
    const looking = task(() => seen.push(context.getStore()));
    // The first at once, the second at the end of the turn, and as many as are done before it.
    context.run('a plugin', () => {
      for (let count = 0; count < 2; count++) endOfTurn.add(looking);
    });
    await nextTurn();
    context.run('a plugin', () => {
      for (let count = 0; count < 32; count++) endOfTurn.add(looking);
    });
    assert.deepEqual(seen, Array<undefined>(34).fill(undefined));
  });
});

/** One whose last turn has brought several tasks. */
async function busy(): Promise<EndOfTurn> {
  const endOfTurn = new EndOfTurn();
  for (let count = 0; count < 2; count++) endOfTurn.add(task(() => undefined));
  await nextTurn();
  return endOfTurn;
}

function task(run: () => void): TurnTask {
  return { onEndOfTurn: run };
}
