import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Breaker, MAX_COOLDOWN_FACTOR } from '../../src/containment/breaker.ts';

const POLICY = { failureThreshold: 3, failureWindowMs: 1_000, cooldownMs: 50 };

describe('a breaker', () => {
  it('trips at the threshold and not before', () => {
    const breaker = new Breaker(POLICY);
    assert.deepEqual([breaker.fail(0), breaker.fail(1), breaker.fail(2)], [false, false, true]);
  });

  it('trips at the first failure when the threshold is 1', () => {
    assert.equal(new Breaker({ ...POLICY, failureThreshold: 1 }).fail(0), true);
  });

  it('forgets failures that have left the window, and the one at its very edge', () => {
    const breaker = new Breaker(POLICY);
    breaker.fail(0);
    breaker.fail(500);
    assert.equal(breaker.recent(999), 2);
    assert.equal(breaker.recent(1_000), 1);
    assert.equal(breaker.fail(1_000), false);
    assert.equal(breaker.fail(1_400), true);
  });

  it('doubles the cool-down at each further trip, up to 32 times the first', () => {
    const breaker = new Breaker(POLICY);
    const cooldowns = Array.from({ length: 8 }, () => breaker.trip());
    assert.deepEqual(cooldowns, [50, 100, 200, 400, 800, 1_600, 1_600, 1_600]);
    assert.equal(MAX_COOLDOWN_FACTOR, 32);
  });

  it('still tells of recent failures after a trip', () => {
    const breaker = new Breaker(POLICY);
    for (const now of [0, 1, 2]) breaker.fail(now);
    breaker.trip();
    assert.equal(breaker.recent(3), 3);
    assert.equal(breaker.recent(1_001), 1);
  });

  it('counts anew after a trial that succeeded, but keeps the length of the cool-down', () => {
    const breaker = new Breaker(POLICY);
    breaker.trip();
    breaker.fail(0);
    breaker.fail(1);
    breaker.forgive();
    assert.equal(breaker.recent(2), 0);
    assert.equal(breaker.trip(), 100);
  });

  it('begins with the first cool-down again after a reset', () => {
    const breaker = new Breaker(POLICY);
    breaker.trip();
    breaker.trip();
    breaker.fail(0);
    breaker.reset();
    assert.equal(breaker.recent(1), 0);
    assert.equal(breaker.trip(), 50);
  });

  it('never forgets the total', () => {
    const breaker = new Breaker(POLICY);
    breaker.fail(0);
    breaker.fail(5_000);
    breaker.trip();
    breaker.reset();
    assert.equal(breaker.total, 2);
  });
});
