import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, it, type TestContext } from 'node:test';
import { Deadlines } from '../src/deadlines.ts';

/** Deadlines under the test runner's clock; `armed` counts the timers that were set. */
function setUp(t: TestContext): {
  deadlines: Deadlines;
  tick: (ms: number) => void;
  armed: () => number;
} {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const setTimeoutSpy = t.mock.method(globalThis, 'setTimeout');
  return {
    deadlines: new Deadlines(() => Date.now()),
    tick: (ms) => t.mock.timers.tick(ms),
    armed: () => setTimeoutSpy.mock.callCount(),
  };
}

describe('deadlines', () => {
  it('expire when their time has come, and once', (t) => {
    const { deadlines, tick } = setUp(t);
    let expired = 0;
    deadlines.set(100, () => expired++);
    tick(99);
    assert.equal(expired, 0);
    tick(1);
    assert.equal(expired, 1);
    tick(1_000);
    assert.equal(expired, 1);
  });

  it('expire in the order of their ends, whatever their lengths', (t) => {
    const { deadlines, tick } = setUp(t);
    const expired: string[] = [];
    deadlines.set(300, () => expired.push('long'));
    tick(50);
    deadlines.set(100, () => expired.push('short, first'));
    tick(50);
    deadlines.set(100, () => expired.push('short, second'));
    for (let each = 0; each < 30; each++) tick(10);
    assert.deepEqual(expired, ['short, first', 'short, second', 'long']);
  });

  it('never expire early, though one of the same length has set the timer before', (t) => {
    const { deadlines, tick } = setUp(t);
    let expired = false;
    deadlines.cancel(deadlines.set(100, () => assert.fail('cancelled')));
    tick(60);
    deadlines.set(100, () => {
      expired = true;
    });
    tick(99);
    assert.equal(expired, false);
    tick(1);
    assert.equal(expired, true);
  });

  it('do not expire once cancelled, wherever they stand in the queue', (t) => {
    const { deadlines, tick } = setUp(t);
    for (const cancelled of ['first', 'middle', 'last']) {
      const expired: string[] = [];
      const set = ['first', 'middle', 'last'].map((name) => ({
        name,
        deadline: deadlines.set(100, () => expired.push(name)),
      }));
      for (const { name, deadline } of set) if (name === cancelled) deadlines.cancel(deadline);
      tick(100);
      assert.deepEqual(
        expired,
        ['first', 'middle', 'last'].filter((name) => name !== cancelled),
      );
    }
  });

  it('may be cancelled twice, and after they have expired', (t) => {
    const { deadlines, tick } = setUp(t);
    let expired = 0;
    const twice = deadlines.set(100, () => expired++);
    const late = deadlines.set(100, () => expired++);
    deadlines.set(100, () => expired++);
    deadlines.cancel(twice);
    deadlines.cancel(twice);
    tick(100);
    deadlines.cancel(late);
    assert.equal(expired, 2);
    deadlines.set(100, () => expired++);
    tick(100);
    assert.equal(expired, 3);
  });

  it('of one length share one timer', (t) => {
    const { deadlines, armed } = setUp(t);
    for (let each = 0; each < 1_000; each++) {
      deadlines.cancel(deadlines.set(100, () => undefined));
      deadlines.set(100, () => undefined);
    }
    assert.equal(armed(), 1);
    deadlines.set(200, () => undefined);
    assert.equal(armed(), 2);
  });

  it('expire in the context of nobody, not of whoever set the first one of their length', async (t) => {
    const keepAlive = setTimeout(() => undefined, 60_000); // deadlines do not keep the process alive
    t.after(() => clearTimeout(keepAlive));
    const deadlines = new Deadlines(() => performance.now());
    const storage = new AsyncLocalStorage<string>();
    const { promise: seen, resolve } = Promise.withResolvers<string | undefined>();
    storage.run('a request', () => deadlines.set(1, () => resolve(storage.getStore())));
    assert.equal(await seen, undefined);
  });

  it('may be set by one that expires', (t) => {
    const { deadlines, tick } = setUp(t);
    let second = false;
    deadlines.set(100, () => {
      deadlines.set(100, () => {
        second = true;
      });
    });
    tick(100);
    tick(100);
    assert.equal(second, true);
  });

  it('expire all the same when another one throws', (t) => {
    const timers: (() => void)[] = [];
    t.mock.method(globalThis, 'setTimeout', (fn: () => void) => {
      timers.push(fn);
      return { unref: () => undefined };
    });
    let now = 0;
    const deadlines = new Deadlines(() => now);
    const expired: string[] = [];
    deadlines.set(100, () => {
      throw new Error('from a deadline');
    });
    deadlines.set(100, () => expired.push('second'));
    now = 100;
    assert.throws(() => timers.shift()?.(), /from a deadline/);
    timers.shift()?.();
    assert.deepEqual(expired, ['second']);
  });
});
