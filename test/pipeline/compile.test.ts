import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { Contributions } from '../../src/contributions.ts';
import type { PluginRecord } from '../../src/lifecycle/record.ts';
import { PLUGIN_STATES } from '../../src/lifecycle/states.ts';
import { createPipelineCompiler, type PipelineCompiler } from '../../src/pipeline/compile.ts';
import { ExportQueue } from '../../src/pipeline/exporters.ts';
import { toMembers } from '../../src/pipeline/members.ts';
import { definePlugin } from '../../src/plugin-api/plugin.ts';
import type { Storage } from '../../src/plugin-api/storage.ts';
import { toStorage } from '../../src/storage/backend-storage.ts';
import { createRecord } from '../lifecycle/support.ts';
import { createGate, createMember } from './support.ts';

const EMBEDDED = Object.freeze({}) as Storage;

function compiler(): PipelineCompiler {
  const containment = new Containment();
  return createPipelineCompiler({
    containment,
    exports: new ExportQueue(containment),
    embedded: EMBEDDED,
    adaptBackend: toStorage,
  });
}

describe('a pipeline', () => {
  it('without plugins costs one comparison per phase: they are null', () => {
    const { strategies, providers, tools, storage, ...phases } = compiler()([]);
    assert.deepEqual(phases, {
      generation: 1,
      auth: null,
      accounts: null,
      middleware: null,
      routes: null,
      llm: {
        onRequest: null,
        onRoute: null,
        onChunk: null,
        onResponse: null,
        onError: null,
        evaluateInput: null,
        evaluateOutput: null,
        outputWindow: 0,
        observeOutput: null,
        inputGuard: null,
        outputGuard: null,
      },
      export: null,
    });
    assert.deepEqual([strategies.size, providers.size, storage], [0, 0, EMBEDDED]);
    assert.equal(typeof tools.list, 'function');
  });

  it('is frozen, and each generation has the next number', () => {
    const compile = compiler();
    const [first, second] = [compile([]), compile([])];
    assert.deepEqual([first.generation, second.generation], [1, 2]);
    assert.ok(Object.isFrozen(first) && Object.isFrozen(first.llm));
  });

  it('is not changed by what a plugin adds to its bag later', async () => {
    const member = createMember('a', () => undefined);
    const pipeline = compiler()([member]);
    member.bag?.authProviders.push({ name: 'late', authenticate: () => ({ id: 'x' }) });
    assert.equal(pipeline.auth, null);
  });
});

/** A record of a plugin that guards everything, in a given state. */
function recordIn(state: PluginRecord['state'], code = 'plugin_error'): PluginRecord {
  const record = createRecord(
    definePlugin({
      metadata: {
        name: 'a',
        capabilities: ['AUTH_PROVIDER', 'STORAGE_BACKEND'],
        failClosed: true,
        failOpen: true,
      },
      startup: () => undefined,
    }),
  );
  record.state = state;
  record.reason = { code, message: '' };
  record.bag = new Contributions();
  return record;
}

describe('who a pipeline is compiled from', () => {
  const gate = createGate(false);
  for (const state of PLUGIN_STATES) {
    const bagged = state === 'started' || state === 'quarantined';
    const shut = ['loaded', 'blocked', 'failed', 'rejected'].includes(state);
    const expected = bagged ? 'with its contributions' : shut ? 'as what must stay shut' : 'not at all';
    it(`a plugin that is ${state}: ${expected}`, () => {
      const record = recordIn(state);
      const [member] = toMembers([record], () => gate);
      assert.equal(member !== undefined, bagged || shut);
      if (member === undefined) return;
      assert.equal(member.bag, bagged ? record.bag : null);
      assert.deepEqual(member.guards, { auth: true, storage: true, requests: true });
      assert.deepEqual([member.failClosed, member.failOpen, member.gate], [true, true, gate]);
    });
  }

  for (const code of ['plugin_not_allowlisted', 'plugin_capability_denied']) {
    it(`a plugin that the operator does not want (${code}): not at all`, () => {
      assert.deepEqual(
        toMembers([recordIn('rejected', code)], () => gate),
        [],
      );
    });
  }

  it('a legacy plugin guards nothing, for nobody knows what it would have', () => {
    class Legacy {
      startup(): void {}
    }
    const record = createRecord(new Legacy());
    record.state = 'failed';
    assert.deepEqual(toMembers([record], () => gate)[0]?.guards, {
      auth: false,
      storage: false,
      requests: false,
    });
  });

  it('keeps their order', () => {
    const records = ['c', 'a', 'b'].map((name) => {
      const record = createRecord(definePlugin({ metadata: { name }, startup: () => undefined }));
      record.state = 'started';
      return record;
    });
    assert.deepEqual(
      toMembers(records, () => null).map(({ name }) => name),
      ['c', 'a', 'b'],
    );
  });
});
