import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AsyncVariable } from '../src/async-variable.ts';

describe('a variable of the asynchronous context', () => {
  it('has the value of the call, in its callbacks and promises too, and none elsewhere', async () => {
    const variable = new AsyncVariable<string>();
    const seen: (string | undefined)[] = [];
    const work = variable.run('outer', async () => {
      seen.push(variable.get());
      await nextTurn();
      seen.push(variable.run('inner', () => variable.get()));
      seen.push(variable.run(undefined, () => variable.get()));
      seen.push(variable.get());
    });
    assert.equal(variable.get(), undefined);
    await work;
    assert.deepEqual(seen, ['outer', 'inner', undefined, 'outer']);
    assert.equal(variable.get(), undefined);
  });

  it('returns and throws what the call does, and is as before afterwards', () => {
    const variable = new AsyncVariable<number>();
    assert.equal(
      variable.run(1, () => 'returned'),
      'returned',
    );
    const error = new Error('thrown');
    variable.run(2, () => {
      assert.throws(
        () =>
          variable.run(3, () => {
            throw error;
          }),
        error,
      );
      assert.equal(variable.get(), 2);
    });
    assert.equal(variable.get(), undefined);
  });

  it('leaves the storages of others as the caller has them', () => {
    const variable = new AsyncVariable<string>();
    const others = new AsyncLocalStorage<string>();
    others.run('theirs', () => {
      variable.run('ours', () => {
        assert.equal(others.getStore(), 'theirs');
        others.enterWith('entered inside');
        assert.equal(variable.get(), 'ours');
      });
      assert.equal(others.getStore(), 'theirs');
    });
  });

  it('is another one for each instance', () => {
    const one = new AsyncVariable<string>();
    const two = new AsyncVariable<string>();
    one.run('one', () => two.run('two', () => assert.deepEqual([one.get(), two.get()], ['one', 'two'])));
  });
});
