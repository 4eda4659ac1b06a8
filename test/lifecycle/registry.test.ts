import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PluginRecord } from '../../src/lifecycle/record.ts';
import { PluginRegistry } from '../../src/lifecycle/registry.ts';
import { nextState, PLUGIN_EVENTS, PLUGIN_STATES } from '../../src/lifecycle/states.ts';
import { definePlugin } from '../../src/plugin-api/plugin.ts';
import { createRecord, recordingLog } from './support.ts';

function recordOf(name: string, state: PluginRecord['state'] = 'discovered'): PluginRecord {
  const record = createRecord(definePlugin({ metadata: { name }, startup: () => undefined }));
  record.state = state;
  return record;
}

const REASON = { code: 'plugin_error', message: 'It broke' };

describe('a transition', () => {
  for (const from of PLUGIN_STATES) {
    for (const event of PLUGIN_EVENTS) {
      const to = nextState(from, event);
      if (to === null) {
        it(`"${event}" out of ${from} is refused, and changes nothing`, () => {
          const { log, lines } = recordingLog();
          const record = recordOf('a', from);
          assert.throws(() => new PluginRegistry(log).transition(record, event, REASON), {
            code: 'internal_error',
          });
          assert.deepEqual([record.state, record.reason, lines.length], [from, null, 0]);
        });
      } else {
        it(`from ${from} to ${to} is a log event with plugin, cause and both states`, () => {
          const { log, lines } = recordingLog();
          const record = recordOf('a', from);
          new PluginRegistry(log).transition(record, event, REASON);
          assert.deepEqual([record.state, record.reason], [to, REASON]);
          const [{ level, ...line } = {}] = lines;
          assert.deepEqual(line, {
            message: `plugin ${to}`,
            event: 'plugin_transition',
            plugin: 'a',
            specifier: 'plugins/a',
            from,
            to,
            code: 'plugin_error',
            cause: 'It broke',
          });
          assert.equal(level, ['fail', 'quarantine', 'block', 'reject'].includes(event) ? 'warn' : 'info');
        });
      }
    }
  }

  it('is told in the same tick, after the fact', () => {
    const registry = new PluginRegistry(recordingLog().log);
    const told: string[] = [];
    registry.onTransition((record, from) => void told.push(`${from} -> ${record.state}`));
    registry.transition(recordOf('a'), 'load', null);
    assert.deepEqual(told, ['discovered -> loaded']);
  });
});

describe('the registry', () => {
  it('lists every record, and finds the first of a name', () => {
    const registry = new PluginRegistry(recordingLog().log);
    const [first, second] = [recordOf('a', 'loaded'), recordOf('a', 'rejected')];
    registry.add(first);
    registry.add(second);
    assert.deepEqual(registry.records, [first, second]);
    assert.equal(registry.get('a'), first);
  });

  for (const state of ['rejected', 'inactive'] as const) {
    it(`finds the second of a name when the first is ${state}`, () => {
      const registry = new PluginRegistry(recordingLog().log);
      const second = recordOf('a', 'loaded');
      registry.add(recordOf('a', state));
      registry.add(second);
      assert.equal(registry.get('a'), second);
    });
  }

  it('takes names like constructor and __proto__ for ordinary names', () => {
    const registry = new PluginRegistry(recordingLog().log);
    assert.equal(registry.get('constructor'), undefined);
    const record = recordOf('constructor');
    registry.add(record);
    assert.equal(registry.get('constructor'), record);
    assert.equal(registry.get('__proto__'), undefined);
  });

  it('gives records in load order, whatever the order of discovery', () => {
    const registry = new PluginRegistry(recordingLog().log);
    const [a, b, c] = [recordOf('a'), recordOf('b'), recordOf('c')];
    for (const record of [a, b, c]) registry.add(record);
    registry.setOrder(['c', 'a']);
    assert.deepEqual(registry.inOrder(), [c, a]);
    assert.ok(Object.isFrozen(registry.order));
  });
});
