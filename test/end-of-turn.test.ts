import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EndOfTurn, type TurnTask } from '../src/end-of-turn.ts';

describe('the end of a turn', () => {
  it('comes behind all that the turn brings, and does the tasks in their order', async () => {
    const endOfTurn = new EndOfTurn();
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

  it('takes tasks again afterwards, and out of a task', async () => {
    const endOfTurn = new EndOfTurn();
    const seen: string[] = [];
    endOfTurn.add(
      task(() => {
        seen.push('outer');
        endOfTurn.add(task(() => seen.push('inner')));
      }),
    );
    await nextTurn();
    await nextTurn();
    endOfTurn.add(task(() => seen.push('later')));
    await nextTurn();
    assert.deepEqual(seen, ['outer', 'inner', 'later']);
  });

  it('does not have the first of many wait for all', async () => {
    const endOfTurn = new EndOfTurn();
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
    context.run('a plugin', () => endOfTurn.add(looking));
    await nextTurn();
    context.run('a plugin', () => {
      for (let count = 0; count < 32; count++) endOfTurn.add(looking);
    });
    assert.deepEqual([...new Set(seen)], [undefined]);
  });
});

function task(run: () => void): TurnTask {
  return { onEndOfTurn: run };
}
