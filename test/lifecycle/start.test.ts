import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { summarize } from '../../src/contributions.ts';
import { ConfigError, GatewayError } from '../../src/errors.ts';
import { PluginAbortError } from '../../src/lifecycle/abort.ts';
import { toReason } from '../../src/lifecycle/start.ts';
import type { PluginApp } from '../../src/plugin-api/app.ts';
import type { PluginContext } from '../../src/plugin-api/context.ts';
import { FAILURE_MODES, type FailureMode } from '../../src/plugin-api/failure-mode.ts';
import type { PluginMetadata } from '../../src/plugin-api/metadata.ts';
import { definePlugin, type Plugin } from '../../src/plugin-api/plugin.ts';
import { createHost, transitions } from './support.ts';

/** A plugin that writes down when it starts and stops. */
function recorder(name: string, diary: string[], metadata: Partial<PluginMetadata> = {}): Plugin {
  return definePlugin({
    metadata: { name, ...metadata },
    startup: () => void diary.push(`+${name}`),
    shutdown: () => void diary.push(`-${name}`),
  });
}

/** The three ways of failing at startup, each after it has registered a route. */
const FAILURES: readonly (readonly [string, Plugin['startup'], RegExp])[] = [
  [
    'throws',
    (app) => {
      app.get('/bad', () => undefined);
      throw new Error('no database');
    },
    /no database/,
  ],
  [
    'rejects',
    async (app) => {
      app.get('/bad', () => undefined);
      throw new Error('no database');
    },
    /no database/,
  ],
  [
    'hangs',
    (app) => {
      app.get('/bad', () => undefined);
      return new Promise(() => undefined);
    },
    /did not settle within 10 ms/,
  ],
];

const STATE_AFTER: Readonly<Record<FailureMode, string>> = {
  continue: 'failed',
  quarantine: 'quarantined',
  abort: 'failed',
};

describe('startup (Load Order, step 5: call startup() in resolved order)', () => {
  it('is called one after the other, each only when the one before has returned', async (t) => {
    const diary: string[] = [];
    const slow = definePlugin({
      metadata: { name: 'slow' },
      async startup() {
        diary.push('+slow begins');
        await new Promise((resolve) => setImmediate(resolve));
        diary.push('+slow ends');
      },
    });
    const host = createHost(t, [recorder('first', diary), slow, recorder('last', diary)]);
    await host.startAll();
    assert.deepEqual(diary, ['+first', '+slow begins', '+slow ends', '+last']);
    assert.deepEqual(
      host.registry.records.map(({ state }) => state),
      ['started', 'started', 'started'],
    );
  });

  it('gets the registrar and the context, as methods of the plugin (Quick Start)', async (t) => {
    let seen: unknown[] = [];
    class Mine {
      readonly metadata = { name: 'mine' };
      startup(app: PluginApp, context: PluginContext): void {
        seen = [this, typeof app.get, context.signal.aborted];
      }
    }
    const plugin = new Mine();
    const host = createHost(t, [plugin]);
    await host.startAll();
    assert.deepEqual(seen, [plugin, 'function', false]);
    assert.ok((host.record('mine').startupMs ?? -1) >= 0);
  });

  it('works without the context parameter and without metadata (Backwards Compatibility)', async (t) => {
    let args = 0;
    class LegacyPlugin {
      async startup(...values: unknown[]): Promise<void> {
        args = values.length;
        (values[0] as PluginApp).get('/legacy', () => undefined);
      }
    }
    const host = createHost(t, [new LegacyPlugin()]);
    await host.startAll();
    assert.equal(args, 2);
    const { metadata, bag, failureMode } = host.record('LegacyPlugin');
    assert.deepEqual(summarize(bag).routes, ['GET /legacy']);
    assert.deepEqual(
      [metadata?.version, metadata?.capabilities, metadata?.priority, failureMode],
      ['0.0.0', null, 1000, 'continue'],
    );
  });

  it('registers what takes effect only once it has returned', async (t) => {
    const during: unknown[] = [];
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'a', capabilities: ['ROUTES'] },
        async startup(app) {
          app.get('/a', (_req, res) => void res.end());
          await null;
          during.push(host.pipeline().routes);
        },
      }),
    ]);
    await host.startAll();
    assert.deepEqual(during, [null]);
    assert.notEqual(host.pipeline().routes, null);
  });

  it('closes the registrar', async (t) => {
    let kept: PluginApp | undefined;
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'a', capabilities: ['ROUTES'] },
        startup(app) {
          kept = app;
        },
      }),
    ]);
    await host.startAll();
    assert.throws(() => kept?.get('/late', () => undefined), { code: 'plugin_load' });
    assert.deepEqual(summarize(host.record('a').bag).routes, []);
  });
});

describe('a plugin whose startup fails (Failure Modes)', () => {
  for (const mode of FAILURE_MODES) {
    for (const [how, startup, message] of FAILURES) {
      it(`and ${how}, mode ${mode}: is ${STATE_AFTER[mode]}, and nothing of it remains`, async (t) => {
        const diary: string[] = [];
        let signal: AbortSignal | undefined;
        let app: PluginApp | undefined;
        const bad: Plugin = {
          metadata: { name: 'bad', capabilities: ['ROUTES'], failureMode: mode },
          startup(own, context) {
            signal = context.signal;
            app = own;
            return startup(own, context);
          },
          shutdown: () => void diary.push('-bad'),
        };
        const host = createHost(t, [recorder('before', diary), bad, recorder('after', diary)], {
          startupTimeoutMs: 10,
        });
        const started = host.startAll();
        if (mode === 'abort') {
          await assert.rejects(started, (error) => {
            assert.ok(error instanceof PluginAbortError);
            assert.equal(error.plugin, 'bad');
            assert.match(error.message, message);
            return true;
          });
        } else {
          await started;
        }
        const record = host.record('bad');
        assert.equal(record.state, STATE_AFTER[mode]);
        assert.match(record.reason?.message ?? '', message);
        assert.equal(record.reason?.code, how === 'hangs' ? 'plugin_timeout' : 'plugin_error');
        assert.deepEqual([record.bag, record.running, host.pipeline().routes], [null, null, null]);
        assert.equal(host.routes.size, 0);
        assert.equal(signal?.aborted, true);
        assert.throws(() => app?.get('/later', () => undefined), { code: 'plugin_load' });
        assert.equal(record.breaker.total, 0);
        assert.equal(record.quarantine?.until, mode === 'quarantine' ? null : undefined);
        const level = host.lines.find(
          (line) => line.event === 'plugin_transition' && line.to === record.state && line.plugin === 'bad',
        )?.level;
        assert.equal(level, 'warn');

        await host.stop();
        const others = mode === 'abort' ? ['+before', '-before'] : ['+before', '+after', '-after', '-before'];
        assert.deepEqual(diary, others);
        assert.equal(record.state, STATE_AFTER[mode]);
      });
    }
  }

  it('gives back its paths and names to those that start after it', async (t) => {
    const register = (app: PluginApp): void => {
      app.get('/x', () => undefined).routingStrategy('s', { select: () => undefined });
    };
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'bad' },
        startup(app) {
          register(app);
          throw new Error('x');
        },
      }),
      definePlugin({ metadata: { name: 'good' }, startup: register }),
    ]);
    await host.startAll();
    assert.equal(host.record('good').state, 'started');
    assert.equal(host.routes.get('/x'), 'good');
  });

  it('for a path that another owns is told whose it is', async (t) => {
    const claims = (name: string): Plugin =>
      definePlugin({ metadata: { name }, startup: (app) => void app.get('/x', () => undefined) });
    const host = createHost(t, [claims('one'), claims('two')]);
    await host.startAll();
    assert.deepEqual([host.record('one').state, host.record('two').state], ['started', 'failed']);
    assert.equal(host.record('two').reason?.code, 'route_conflict');
    assert.match(host.record('two').reason?.message ?? '', /"two".*"one"/);
  });

  it('for a middleware path that Express cannot parse fails alone', async (t) => {
    const host = createHost(t, [
      definePlugin({ metadata: { name: 'bad' }, startup: (app) => void app.use('/a(b', () => undefined) }),
      definePlugin({ metadata: { name: 'good' }, startup: () => undefined }),
    ]);
    await host.startAll();
    assert.deepEqual([host.record('bad').state, host.record('good').state], ['failed', 'started']);
    assert.equal(host.record('bad').reason?.code, 'plugin_load');
  });

  it('for settings that do not fit fails without being called', async (t) => {
    const host = createHost(
      t,
      [definePlugin({ metadata: { name: 'a' }, startup: () => assert.fail('called') })],
      {
        createContext: () => {
          throw new ConfigError(['plugins.a.url: expected a string']);
        },
      },
    );
    await host.startAll();
    assert.deepEqual(host.record('a').reason, {
      code: 'config_invalid',
      message: 'plugins.a.url: expected a string',
    });
  });

  it('without a mode of its own follows the global one (Environment Variables)', async (t) => {
    const bad = definePlugin({
      metadata: { name: 'bad' },
      startup: () => {
        throw new Error('x');
      },
    });
    const host = createHost(t, [bad], { mode: 'quarantine' });
    await host.startAll();
    assert.equal(host.record('bad').state, 'quarantined');
    await assert.rejects(createHost(t, [bad], { mode: 'abort' }).startAll(), PluginAbortError);
  });
});

describe('a plugin whose dependency did not start (Dependencies)', () => {
  const broken = definePlugin({
    metadata: { name: 'base', failureMode: 'continue' },
    startup: () => {
      throw new Error('x');
    },
  });

  for (const mode of FAILURE_MODES) {
    it(`is blocked, and its own mode applies: ${mode}`, async (t) => {
      const diary: string[] = [];
      const host = createHost(t, [
        recorder('before', diary),
        broken,
        recorder('dependent', diary, { dependsOn: ['base'], failureMode: mode }),
        recorder('after', diary),
      ]);
      const started = host.startAll();
      if (mode === 'abort') await assert.rejects(started, PluginAbortError);
      else await started;
      const { state, reason } = host.record('dependent');
      assert.equal(state, mode === 'quarantine' ? 'quarantined' : 'blocked');
      assert.equal(reason?.code, 'plugin_dependency');
      assert.match(reason?.message ?? '', /"base" is failed, expected started/);
      assert.equal(transitions(host.lines, 'dependent')[1]?.startsWith('loaded -> blocked'), true);
      await host.stop();
      assert.deepEqual(
        diary,
        mode === 'abort' ? ['+before', '-before'] : ['+before', '+after', '-after', '-before'],
      );
    });
  }

  it('blocks in turn whoever depends on it', async (t) => {
    const diary: string[] = [];
    const host = createHost(t, [
      broken,
      recorder('middle', diary, { dependsOn: ['base'] }),
      recorder('top', diary, { dependsOn: ['middle'] }),
    ]);
    await host.startAll();
    assert.match(host.record('top').reason?.message ?? '', /"middle" is blocked/);
    assert.deepEqual(diary, []);
  });

  it('starts all the same when the dependency is optional', async (t) => {
    const diary: string[] = [];
    const host = createHost(t, [
      broken,
      recorder('dependent', diary, { dependsOn: [{ name: 'base', optional: true }] }),
    ]);
    await host.startAll();
    assert.deepEqual(diary, ['+dependent']);
  });
});

describe('the reason of a failure', () => {
  it('is what the plugin itself said, with its code', () => {
    assert.deepEqual(toReason(new Error('x')), { code: 'plugin_error', message: 'x' });
    const outer = new GatewayError('plugin_error', 'startup() failed', { cause: new Error('no database') });
    assert.deepEqual(toReason(outer), { code: 'plugin_error', message: 'startup() failed: no database' });
    const inner = new GatewayError('route_conflict', 'mine and theirs', { hint: 'Choose another path.' });
    assert.deepEqual(toReason(new GatewayError('plugin_error', 'startup() failed', { cause: inner })), {
      code: 'route_conflict',
      message: 'mine and theirs. Choose another path.',
    });
    assert.deepEqual(toReason('a string').code, 'plugin_error');
  });
});
