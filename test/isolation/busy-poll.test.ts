import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BusyPoll } from '../../src/isolation/channel/busy-poll.ts';

/** A poll by a clock that stands still, and how often it has looked at it. */
class Bench {
  time = 0;
  looks = 0;
  readonly poll = new BusyPoll(() => {
    this.looks++;
    return this.time;
  });

  /** How often the poll looks at the clock in ten turns of the loop. */
  async looksInTenTurns(): Promise<number> {
    const before = this.looks;
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    return this.looks - before;
  }

  /** Whether the loop is kept awake for a call that is made now, and stays unanswered. */
  async isPolledInVain(call: number): Promise<boolean> {
    this.poll.begin(call);
    const looks = await this.looksInTenTurns();
    this.time += 1;
    await nextTurn();
    assert.equal(await this.looksInTenTurns(), 0, 'it polls no longer');
    return looks > 0;
  }
}

describe('the poll for answers', () => {
  it('keeps the loop awake until the answer is there', async () => {
    const bench = new Bench();
    bench.poll.begin(1);
    assert.ok((await bench.looksInTenTurns()) >= 9);
    bench.poll.end(1);
    assert.equal(await bench.looksInTenTurns(), 0);
  });

  it('lets the loop sleep when the answer takes its time', async () => {
    const bench = new Bench();
    bench.poll.begin(1);
    bench.time = 0.1;
    assert.ok((await bench.looksInTenTurns()) >= 9);
    bench.time = 0.2;
    await nextTurn();
    assert.equal(await bench.looksInTenTurns(), 0);
  });

  it('is for the latest call, however the earlier ones end', async () => {
    const bench = new Bench();
    bench.poll.begin(1);
    bench.time = 0.15;
    bench.poll.begin(2);
    bench.poll.end(1);
    bench.time = 0.3;
    assert.ok((await bench.looksInTenTurns()) >= 9);
    bench.poll.end(2);
    assert.equal(await bench.looksInTenTurns(), 0);
  });

  it('is tried less and less where it is in vain, and as ever after the first that is not', async () => {
    const bench = new Bench();
    let call = 0;
    const skipsUntilNext = async (): Promise<number> => {
      let skipped = 0;
      while (!(await bench.isPolledInVain(++call))) skipped++;
      return skipped;
    };
    assert.equal(await skipsUntilNext(), 0);
    const skips: number[] = [];
    while (skips.length < 9) skips.push(await skipsUntilNext());
    assert.deepEqual(skips, [1, 2, 4, 8, 16, 32, 64, 64, 64]);

    for (let skipped = 0; skipped < 64; skipped++) bench.poll.begin(++call);
    bench.poll.begin(++call);
    bench.poll.end(call);
    assert.equal(await skipsUntilNext(), 0);
    assert.equal(await skipsUntilNext(), 1);
  });
});
