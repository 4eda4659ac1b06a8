import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../src/isolation/host/backoff.ts';

test('a process that dies again and again is left dead longer each time, up to 5 s', () => {
  const backoff = new Backoff();
  const waits: number[] = [];
  for (let deaths = 0; deaths < 10; deaths++) {
    backoff.died(100);
    waits.push(backoff.nextMs());
  }
  const longest = [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000];
  for (const [at, waitMs] of waits.entries()) {
    const atMost = longest[at] ?? Number.NaN;
    assert.ok(waitMs >= atMost / 2 && waitMs <= atMost, `${waitMs} ms after ${at + 1} deaths`);
  }
});

test('who dies together does not come back together', () => {
  const waits = new Set<number>();
  for (let n = 0; n < 20; n++) {
    const backoff = new Backoff();
    for (let deaths = 0; deaths < 10; deaths++) backoff.died(0);
    waits.add(backoff.nextMs());
  }
  assert.ok(waits.size > 5, `${waits.size} different waits of 20`);
});

test('after five deaths in a row somebody has to ask for it, until it has lived for a while', () => {
  const backoff = new Backoff();
  for (let deaths = 0; deaths < 5; deaths++) backoff.died(0);
  assert.equal(backoff.isWorthTrying, true);
  backoff.died(0);
  assert.equal(backoff.isWorthTrying, false);
  backoff.died(60_000);
  assert.equal(backoff.isWorthTrying, true);
});

test('who never died is not waited for', () => {
  assert.equal(new Backoff().nextMs(), 0);
});
