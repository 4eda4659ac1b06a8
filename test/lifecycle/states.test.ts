import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { effectiveFailureMode, startupOutcome, tripOutcome } from '../../src/lifecycle/failure-mode.ts';
import { nextState, PLUGIN_EVENTS, PLUGIN_STATES } from '../../src/lifecycle/states.ts';
import { FAILURE_MODES } from '../../src/plugin-api/failure-mode.ts';

/**
 * The line of a plugin's life, `discovered → inactive | rejected | loaded → blocked | failed | started ⇄
 * quarantined → stopped`, and its table of failure modes, as one row per state. `.`: may not happen.
 */
const TABLE = `
              deactivate  reject    load    block    fail    start    quarantine   stop
discovered    inactive    rejected  loaded  .        failed  .        quarantined  .
inactive      .           .         .       .        .       .        .            .
rejected      .           .         .       .        .       .        .            .
loaded        inactive    rejected  .       blocked  failed  started  quarantined  .
blocked       .           .         .       .        .       .        quarantined  .
failed        .           .         .       .        .       .        .            .
started       .           .         .       .        .       .        quarantined  stopped
quarantined   .           .         .       .        .       started  quarantined  stopped
stopped       .           .         .       .        .       .        .            .`;

describe('the table of states', () => {
  const [header = [], ...rows] = TABLE.trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));

  it('knows every state and every event', () => {
    assert.deepEqual(new Set(header), new Set(PLUGIN_EVENTS));
    assert.deepEqual(new Set(rows.map(([state]) => state)), new Set(PLUGIN_STATES));
  });

  for (const state of PLUGIN_STATES) {
    for (const event of PLUGIN_EVENTS) {
      const expected = rows.find(([name]) => name === state)?.[header.indexOf(event) + 1];
      it(`${state} + ${event}: ${expected === '.' ? 'may not happen' : expected}`, () => {
        assert.equal(nextState(state, event), expected === '.' ? null : expected);
      });
    }
  }
});

describe('failure modes (Failure Modes)', () => {
  it('of a plugin win over the global one, continue too', () => {
    for (const own of FAILURE_MODES) {
      for (const global of FAILURE_MODES) assert.equal(effectiveFailureMode(own, global), own);
    }
  });

  it('are the global one where the plugin has none', () => {
    for (const global of FAILURE_MODES) assert.equal(effectiveFailureMode(null, global), global);
  });

  it('decide what a failed startup leads to', () => {
    assert.deepEqual(FAILURE_MODES.map(startupOutcome), ['fail', 'abort', 'quarantine']);
  });

  it('decide what a tripped breaker leads to', () => {
    assert.deepEqual(FAILURE_MODES.map(tripOutcome), ['cool-down', 'abort', 'quarantine']);
  });
});
