import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { summarize } from '../../src/contributions.ts';
import { outline, placeholder } from '../../src/lifecycle/silhouette.ts';
import { toView } from '../../src/lifecycle/view.ts';
import { FAILURE_MODES, type FailureMode } from '../../src/plugin-api/failure-mode.ts';
import { definePlugin, type Plugin } from '../../src/plugin-api/plugin.ts';
import type { Storage } from '../../src/plugin-api/storage.ts';
import { RequestScope } from '../../src/request-scope.ts';
import { ask, serve } from '../containment/support.ts';
import { authRequest, llmRequest, llmResponse } from '../pipeline/support.ts';
import { createHost, type Host, openStore, transitions } from './support.ts';

/** A plugin whose route `/shaky` does what `behaviour` says at the moment. */
function shaky(behaviour: { fails: boolean }, failureMode: FailureMode = 'continue'): Plugin {
  return definePlugin({
    metadata: { name: 'shaky', capabilities: ['ROUTES'], failureMode },
    startup(app) {
      app.get('/shaky', (_req, res) => {
        if (behaviour.fails) throw new Error('shaken');
        res.send('fine');
      });
    },
  });
}

/** A server that runs each request through the pipeline that is current when it arrives. */
function listen(t: TestContext, host: Host): Promise<string> {
  return serve(t, (req, res, next) => {
    const { routes } = host.pipeline();
    if (routes === null) next();
    else routes(req, res, next);
  });
}

async function failTimes(url: string, times: number): Promise<void> {
  for (let each = 0; each < times; each++) assert.equal(await ask(`${url}/shaky`), '500 plugin_error');
}

describe('a plugin that fails at run time', () => {
  it('goes on as long as its failures stay below the threshold', async (t) => {
    const host = createHost(t, [shaky({ fails: true })]);
    await host.startAll();
    const url = await listen(t, host);
    await failTimes(url, 2);
    host.clock.time += 60_000;
    await failTimes(url, 2);
    assert.equal(host.record('shaky').state, 'started');
    const { failures } = toView(host.record('shaky'), host.clock.time);
    assert.deepEqual(failures, { total: 4, recent: 2 });
  });

  for (const mode of FAILURE_MODES) {
    it(`is quarantined by the one that reaches the threshold, mode ${mode}`, async (t) => {
      const host = createHost(t, [shaky({ fails: true }, mode)]);
      await host.startAll();
      const url = await listen(t, host);
      await failTimes(url, 3);
      const { state, reason, quarantine } = host.record('shaky');
      assert.equal(state, 'quarantined');
      const { failures } = toView(host.record('shaky'), host.clock.time);
      assert.deepEqual(failures, { total: 3, recent: 3 });
      assert.deepEqual(reason, {
        code: 'plugin_quarantined',
        message: 'Too many failures; the last one: route error: shaken',
      });
      assert.equal(quarantine?.since, host.clock.time);
      assert.equal(quarantine?.until, mode === 'continue' ? host.clock.time + 1_000 : null);
      assert.deepEqual(
        host.aborts.map(({ plugin }) => plugin),
        mode === 'abort' ? ['shaky'] : [],
      );
      assert.equal((await host.quarantines.load('shaky')) !== null, mode === 'quarantine');
      assert.equal(await ask(`${url}/shaky`), '503 plugin_quarantined');
      assert.match(
        transitions(host.lines, 'shaky').at(-1) ?? '',
        /^started -> quarantined \(Too many failures/,
      );
    });
  }

  it('is logged with plugin, phase, kind and request', async (t) => {
    const host = createHost(t, [shaky({ fails: true })]);
    await host.startAll();
    const url = await serve(t, (req, res, next) => {
      Object.assign(req, { requestScope: new RequestScope('req-1') });
      host.pipeline().routes?.(req, res, next);
    });
    await ask(`${url}/shaky`);
    const { level, plugin, phase, kind, requestId, error } =
      host.lines.find(({ event }) => event === 'plugin_failure') ?? {};
    assert.deepEqual(
      { level, plugin, phase, kind, requestId },
      { level: 'error', plugin: 'shaky', phase: 'route', kind: 'error', requestId: 'req-1' },
    );
    assert.equal((error as Error).message, 'shaken');
  });

  it('is counted for late failures of what it began in startup', async (t) => {
    const host = createHost(t, [definePlugin({ metadata: { name: 'a' }, startup: () => undefined })]);
    await host.startAll();
    const { owner } = host.record('a');
    for (let each = 0; each < 3; each++) {
      host.containment.runAs({ owner, phase: 'startup', request: null }, () =>
        host.containment.blame(new Error('from a timer')),
      );
    }
    assert.equal(host.record('a').state, 'quarantined');
  });
});

describe('a plugin that cools down', () => {
  async function tripped(
    t: TestContext,
  ): Promise<{ host: Host; url: string; behaviour: { fails: boolean } }> {
    const behaviour = { fails: true };
    const host = createHost(t, [shaky(behaviour)]);
    await host.startAll();
    const url = await listen(t, host);
    await failTimes(url, 3);
    return { host, url, behaviour };
  }

  it('tells clients when to come back', async (t) => {
    const { host, url } = await tripped(t);
    host.clock.time += 100;
    const response = await fetch(`${url}/shaky`);
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1']);
  });

  it('is not called before the cool-down has ended', async (t) => {
    const { host, url, behaviour } = await tripped(t);
    behaviour.fails = false;
    host.clock.time += 999;
    assert.equal(await ask(`${url}/shaky`), '503 plugin_quarantined');
  });

  it('starts again when the trial call succeeds', async (t) => {
    const { host, url, behaviour } = await tripped(t);
    behaviour.fails = false;
    host.clock.time += 1_000;
    assert.equal(await ask(`${url}/shaky`), '200 fine');
    const { state, quarantine, reason } = host.record('shaky');
    assert.deepEqual([state, quarantine, reason], ['started', null, null]);
    assert.equal(transitions(host.lines, 'shaky').at(-1), 'quarantined -> started');
    assert.equal(await ask(`${url}/shaky`), '200 fine');
  });

  it('rests twice as long after each trial that fails, up to 32 times', async (t) => {
    const { host, url } = await tripped(t);
    for (const factor of [2, 4, 8, 16, 32, 32]) {
      host.clock.time = host.record('shaky').quarantine?.until ?? 0;
      assert.equal(await ask(`${url}/shaky`), '500 plugin_error');
      assert.equal(host.record('shaky').quarantine?.until, host.clock.time + factor * 1_000);
      assert.equal(host.record('shaky').state, 'quarantined');
      assert.equal(await ask(`${url}/shaky`), '503 plugin_quarantined');
    }
  });

  it('rests twice as long at the next trip, also after it had recovered', async (t) => {
    const { host, url, behaviour } = await tripped(t);
    behaviour.fails = false;
    host.clock.time += 1_000;
    await ask(`${url}/shaky`);
    behaviour.fails = true;
    await failTimes(url, 3);
    assert.equal(host.record('shaky').quarantine?.until, host.clock.time + 2_000);
  });

  it('begins to count anew once it has recovered', async (t) => {
    const { host, url, behaviour } = await tripped(t);
    const { owner } = host.record('shaky');
    for (let each = 0; each < 5; each++) {
      host.containment.fail(owner, 'route', 'timeout', new Error('was under way when it tripped'), null);
    }
    behaviour.fails = false;
    host.clock.time += 1_000;
    await ask(`${url}/shaky`);
    behaviour.fails = true;
    await failTimes(url, 2);
    assert.equal(host.record('shaky').state, 'started');
  });

  it('gets one trial call at a time', async (t) => {
    const { host } = await tripped(t);
    host.clock.time += 1_000;
    const gate = host.supervisor.gate(host.record('shaky'));
    assert.deepEqual([gate?.begin(), gate?.begin()], [true, false]);
    gate?.end(null); // the client left: another call may try
    assert.equal(gate?.begin(), true);
    assert.equal(host.record('shaky').state, 'quarantined');
  });

  it('has no gate any more once it is started, and an old one lets pass', async (t) => {
    const { host } = await tripped(t);
    host.clock.time += 1_000;
    const gate = host.supervisor.gate(host.record('shaky'));
    gate?.begin();
    gate?.end(true);
    assert.equal(host.supervisor.gate(host.record('shaky')), null);
    assert.equal(gate?.begin(), true);
    gate?.end(false);
    assert.equal(host.record('shaky').state, 'started');
  });

  it('gets no trial while an operator has it quarantined, nor by one under way', async (t) => {
    const { host, url, behaviour } = await tripped(t);
    behaviour.fails = false;
    host.clock.time += 1_000;
    const gate = host.supervisor.gate(host.record('shaky'));
    gate?.begin();
    await host.supervisor.quarantine(host.record('shaky'), 'by hand');
    gate?.end(true);
    host.clock.time += 1_000_000;
    assert.equal(await ask(`${url}/shaky`), '503 plugin_quarantined');
    assert.equal(host.record('shaky').state, 'quarantined');
  });
});

describe('an operator', () => {
  it('quarantines a started plugin until further notice, and releases it', async (t) => {
    const host = createHost(t, [shaky({ fails: false })]);
    await host.startAll();
    const url = await listen(t, host);
    const record = host.record('shaky');
    await host.supervisor.quarantine(record, 'it smells');
    assert.deepEqual(toView(record, host.clock.time).quarantine, {
      since: new Date(host.clock.time).toISOString(),
      until: null,
      cause: 'it smells',
    });
    const response = await fetch(`${url}/shaky`);
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1']);
    await host.supervisor.release(record);
    assert.equal(await ask(`${url}/shaky`), '200 fine');
    assert.equal(await host.quarantines.load('shaky'), null);
    assert.deepEqual(transitions(host.lines, 'shaky').slice(-2), [
      'started -> quarantined (it smells)',
      'quarantined -> started',
    ]);
  });

  it('releases a plugin that cools down; its next cool-down is the first again', async (t) => {
    const behaviour = { fails: true };
    const host = createHost(t, [shaky(behaviour)]);
    await host.startAll();
    const url = await listen(t, host);
    await failTimes(url, 3);
    await host.supervisor.release(host.record('shaky'));
    await failTimes(url, 3);
    assert.equal(host.record('shaky').quarantine?.until, host.clock.time + 1_000);
  });

  it('cannot release what is not quarantined, nor quarantine what is not started', async (t) => {
    const host = createHost(t, [shaky({ fails: false })]);
    const record = host.record('shaky');
    await assert.rejects(host.supervisor.quarantine(record, 'x'), {
      code: 'conflict',
      message: 'Plugin "shaky" is loaded; only a plugin that is started can be quarantined',
    });
    await host.startAll();
    await assert.rejects(host.supervisor.release(record), {
      code: 'conflict',
      message: 'Plugin "shaky" is started; only a plugin that is quarantined can be released',
    });
  });

  it('releases a plugin whose startup had failed by starting it', async (t) => {
    let broken = true;
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'shaky', failureMode: 'quarantine' },
        startup(app) {
          if (broken) throw new Error('no database');
          app.get('/shaky', (_req, res) => void res.send('fine'));
        },
      }),
    ]);
    await host.startAll();
    const record = host.record('shaky');
    await assert.rejects(host.supervisor.release(record), { code: 'conflict', message: /no database/ });
    assert.equal(record.state, 'quarantined');
    assert.notEqual(record.quarantine, null);
    broken = false;
    await host.supervisor.release(record);
    assert.deepEqual([record.state, record.quarantine], ['started', null]);
    assert.equal(await ask(`${await listen(t, host)}/shaky`), '200 fine');
  });

  it('starts a plugin once, however often its release is asked for', async (t) => {
    let starts = 0;
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'a', failureMode: 'quarantine' },
        async startup() {
          starts++;
          await null;
          if (starts === 1) throw new Error('x');
        },
      }),
    ]);
    await host.startAll();
    const record = host.record('a');
    await Promise.all([host.supervisor.release(record), host.supervisor.release(record)]);
    assert.deepEqual([record.state, starts], ['started', 2]);
  });

  it('cannot release a plugin before what it depends on has started (Dependencies)', async (t) => {
    let broken = true;
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'base', failureMode: 'quarantine' },
        startup: () => {
          if (broken) throw new Error('x');
        },
      }),
      definePlugin({
        metadata: { name: 'a', failureMode: 'quarantine', dependsOn: ['base'] },
        startup: () => undefined,
      }),
    ]);
    await host.startAll();
    await assert.rejects(host.supervisor.release(host.record('a')), {
      code: 'conflict',
      message: /"base" is quarantined, expected started/,
    });
    assert.equal(host.record('a').state, 'quarantined');
    broken = false;
    await host.supervisor.release(host.record('base'));
    await host.supervisor.release(host.record('a'));
    assert.equal(host.record('a').state, 'started');
  });

  it('is told when the store cannot forget the quarantine, which then stays', async (t) => {
    const store = openStore(t);
    let broken = true;
    const storage: Storage = {
      ...bound(store),
      delete: (key) => (broken ? Promise.reject(new Error('disk')) : store.delete(key)),
    };
    const host = createHost(t, [shaky({ fails: false })], { storage });
    await host.startAll();
    const record = host.record('shaky');
    await host.supervisor.quarantine(record, 'x');
    await assert.rejects(host.supervisor.release(record), /disk/);
    assert.equal(record.state, 'quarantined');
    broken = false;
    await host.supervisor.release(record);
    assert.equal(record.state, 'started');
  });

  it('reads in the log that a quarantine will not survive a restart; it holds all the same', async (t) => {
    const storage: Storage = { ...bound(openStore(t)), set: () => Promise.reject(new Error('disk')) };
    const host = createHost(t, [shaky({ fails: true }, 'quarantine')], { storage });
    await host.startAll();
    await failTimes(await listen(t, host), 3);
    assert.equal(host.record('shaky').state, 'quarantined');
    assert.equal(host.lines.filter(({ event }) => event === 'quarantine_not_stored').length, 1);
  });
});

function bound(store: Storage): Storage {
  return {
    get: (key) => store.get(key),
    set: (key, value) => store.set(key, value),
    delete: (key) => store.delete(key),
    increment: (key) => store.increment(key),
    compareAndSet: (key, expected, value) => store.compareAndSet(key, expected, value),
    list: (prefix) => store.list(prefix),
  };
}

/** A plugin that contributes to everything that must stay shut. */
const GUARD: Plugin = definePlugin({
  metadata: { name: 'guard', failureMode: 'quarantine', failClosed: true },
  startup(app) {
    app
      .get('/guarded/:id', (_req, res) => void res.send('in'))
      .mount('/below', (_req, res) => void res.send('in'))
      .use((_req, _res, next) => next())
      .llm({ onRequest: () => undefined })
      .authProvider({ name: 'keys', authenticate: () => ({ id: 'someone' }) })
      .evaluator({ name: 'in', mode: 'block', input: () => undefined })
      .evaluator({ name: 'out', mode: 'block', output: () => undefined })
      .evaluator({ name: 'watch', mode: 'observe', input: () => undefined })
      .storageBackend({
        get: () => 'theirs',
        set: () => undefined,
        delete: () => true,
        increment: () => 1,
        compareAndSet: () => true,
        list: () => [],
      });
  },
});

describe('a sticky quarantine', () => {
  /** A second life on the same store: the plugin is not started, its outline keeps shut what it guarded. */
  async function restarted(t: TestContext, storage: Storage): Promise<Host> {
    let started = false;
    const plugin = {
      ...GUARD,
      startup: (...args: Parameters<Plugin['startup']>) => {
        started = true;
        return GUARD.startup(...args);
      },
    };
    const host = createHost(t, [plugin], { storage });
    const record = host.record('guard');
    const stored = await host.quarantines.load('guard');
    assert.notEqual(stored, null);
    record.quarantine = { since: stored?.since ?? 0, until: null, cause: stored?.cause ?? '' };
    record.bag = stored?.silhouette ? placeholder(stored.silhouette) : null;
    host.registry.transition(record, 'quarantine', {
      code: stored?.code ?? '',
      message: stored?.cause ?? '',
    });
    await host.startAll();
    assert.equal(started, false);
    return host;
  }

  async function quarantined(t: TestContext, storage: Storage): Promise<Host> {
    const host = createHost(t, [GUARD], { storage });
    await host.startAll();
    await host.supervisor.quarantine(host.record('guard'), 'broke in');
    return host;
  }

  it('survives a restart, with what it keeps shut', async (t) => {
    const storage = openStore(t);
    const before = await quarantined(t, storage);
    const after = await restarted(t, storage);
    for (const host of [before, after]) {
      const { state, reason } = host.record('guard');
      assert.deepEqual([state, reason], ['quarantined', { code: 'plugin_quarantined', message: 'broke in' }]);
      const url = await listen(t, host);
      assert.equal(await ask(`${url}/guarded/7`), '503 plugin_quarantined');
      assert.equal(await ask(`${url}/below/and/further`), '503 plugin_quarantined');
      assert.equal(await ask(`${url}/elsewhere`), '404 not_found');
      const { auth, llm, storage: store, middleware } = host.pipeline();
      await assert.rejects(async () => auth?.(authRequest(), null), { code: 'auth_unavailable' });
      await assert.rejects(async () => llm.onRequest?.(llmRequest(), null), { status: 503 });
      await assert.rejects(async () => llm.evaluateInput?.(llmRequest(), null), {
        code: 'evaluator_unavailable',
      });
      await assert.rejects(async () => llm.evaluateOutput?.(llmRequest(), llmResponse(), null), {
        code: 'evaluator_unavailable',
      });
      await assert.rejects(store.get('x'), { code: 'storage_unavailable' });
      assert.ok(middleware);
      assert.equal(await ask(await serve(t, middleware.handle)), '503 plugin_quarantined');
    }
    assert.deepEqual(
      summarize(after.record('guard').bag).routes,
      summarize(before.record('guard').bag).routes,
    );
  });

  it('ends with a release, which starts the plugin, and does not come back', async (t) => {
    const storage = openStore(t);
    await quarantined(t, storage);
    const host = await restarted(t, storage);
    await host.supervisor.release(host.record('guard'));
    assert.equal(await ask(`${await listen(t, host)}/guarded/7`), '200 in');
    assert.deepEqual(await host.pipeline().auth?.(authRequest(), null), { id: 'someone' });
    assert.equal(await host.quarantines.load('guard'), null);
  });

  it('stays, and stays stored, when the release cannot start the plugin', async (t) => {
    const storage = openStore(t);
    await quarantined(t, storage);
    const stored = await storage.get('guard');
    const host = await restarted(t, storage);
    const record = host.record('guard');
    const plugin = record.plugin as { startup: Plugin['startup'] };
    plugin.startup = () => {
      throw new Error('still broken');
    };
    await assert.rejects(host.supervisor.release(record), { code: 'conflict', message: /still broken/ });
    assert.equal(record.state, 'quarantined');
    assert.equal(await ask(`${await listen(t, host)}/guarded/7`), '503 plugin_quarantined');
    assert.deepEqual(await storage.get('guard'), stored);
  });

  it('is not shut down at the end when the plugin never started', async (t) => {
    const storage = openStore(t);
    await quarantined(t, storage);
    const host = await restarted(t, storage);
    await host.stop();
    assert.equal(host.record('guard').state, 'quarantined');
  });

  it('is stored as an outline: nothing of the plugin’s code', async (t) => {
    const host = createHost(t, [GUARD]);
    await host.startAll();
    const { bag } = host.record('guard');
    assert.ok(bag);
    const silhouette = outline(bag);
    assert.deepEqual(JSON.parse(JSON.stringify(silhouette)), silhouette);
    assert.deepEqual(outline(placeholder(silhouette)), silhouette);
    assert.deepEqual(
      silhouette.blockEvaluators.map(({ name }) => name),
      ['in', 'out'],
    );
  });
});

describe('a view', () => {
  it('tells all that the admin API promises', async (t) => {
    const host = createHost(t, [shaky({ fails: false })]);
    await host.startAll();
    const view = toView(host.record('shaky'), host.clock.time);
    assert.deepEqual(Object.keys(view).sort(), [
      'capabilities',
      'contributes',
      'dependsOn',
      'description',
      'failureMode',
      'failures',
      'isolation',
      'name',
      'priority',
      'quarantine',
      'reason',
      'source',
      'specifier',
      'startupMs',
      'state',
      'version',
    ]);
    assert.deepEqual(view.contributes.routes, ['GET /shaky']);
    assert.deepEqual(JSON.parse(JSON.stringify(view)), view);
  });
});
