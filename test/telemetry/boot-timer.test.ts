import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BootTimer, toTree } from '../../src/telemetry/boot-timer.ts';

describe('the timer of a start', () => {
  it('makes a tree of steps within steps', async () => {
    let time = 0;
    const timer = new BootTimer(() => time);
    const spend = (ms: number): void => {
      time += ms;
    };
    timer.mark('process', 40);
    timer.mark('modules', 100);
    time = 100;
    timer.now('config', () => spend(5));
    await timer.step('plugins', async () => {
      timer.now('discovery', () => spend(1));
      await timer.step('startup', async () => {
        await timer.step('hello', async () => spend(7));
      });
      spend(2);
    });
    const tree = timer.end();
    assert.deepEqual(tree, {
      name: 'boot',
      ms: 115,
      steps: [
        { name: 'process', ms: 40 },
        { name: 'modules', ms: 60 },
        { name: 'config', ms: 5 },
        {
          name: 'plugins',
          ms: 10,
          steps: [
            { name: 'discovery', ms: 1 },
            { name: 'startup', ms: 7, steps: [{ name: 'hello', ms: 7 }] },
          ],
        },
      ],
    });
    assert.deepEqual(toTree(tree.steps ?? []), [
      '  ├─ process 40 ms',
      '  ├─ modules 60 ms',
      '  ├─ config 5 ms',
      '  └─ plugins 10 ms',
      '     ├─ discovery 1 ms',
      '     └─ startup 7 ms',
      '        └─ hello 7 ms',
    ]);
  });

  it('counts steps that fail, and passes on what they threw', async () => {
    const timer = new BootTimer(() => 0);
    const failure = new Error('no');
    await assert.rejects(
      timer.step('a', () => Promise.reject(failure)),
      failure,
    );
    assert.throws(() => timer.now('b', () => assert.fail(failure)), failure);
    assert.deepEqual(
      timer.end().steps?.map(({ name }) => name),
      ['a', 'b'],
    );
  });

  it('times nothing after its end', async () => {
    const timer = new BootTimer(() => 0);
    const tree = timer.end();
    assert.equal(await timer.step('late', async () => 1), 1);
    assert.equal(
      timer.now('late', () => 2),
      2,
    );
    assert.deepEqual(tree, timer.end());
  });
});
