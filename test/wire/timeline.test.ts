import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Timeline } from '../../src/wire/timeline.ts';

describe('what plugins took of a request', () => {
  it('is added up by plugin and phase', () => {
    const timeline = new Timeline(0, false, () => 0);
    timeline.charge('keys', 'auth', 2);
    timeline.charge('keys', 'hook', 1);
    timeline.charge('keys', 'auth', 3);
    assert.deepEqual(timeline.plugins, [
      { plugin: 'keys', phase: 'auth', ms: 5 },
      { plugin: 'keys', phase: 'hook', ms: 1 },
    ]);
  });

  it('stays as it was told, whatever is charged later and whoever holds it', () => {
    const timeline = new Timeline(0, false, () => 0);
    timeline.charge('keys', 'auth', 2);
    const told = timeline.plugins;
    timeline.charge('keys', 'auth', 3);
    timeline.charge('other', 'hook', 1);
    assert.deepEqual(told, [{ plugin: 'keys', phase: 'auth', ms: 2 }]);
    assert.throws(() => Object.assign(told[0] as object, { ms: 9 }), TypeError);
  });
});
