import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PluginContext } from '../../src/plugin-api/context.ts';
import { definePlugin, type Plugin } from '../../src/plugin-api/plugin.ts';
import { createHost, transitions } from './support.ts';

function recorder(name: string, diary: string[], shutdown?: Plugin['shutdown']): Plugin {
  return definePlugin({
    metadata: { name },
    startup: () => undefined,
    shutdown(app, context) {
      diary.push(name);
      return shutdown?.(app, context);
    },
  });
}

describe('shutdown (Load Order, step 6: call shutdown() in reverse order)', () => {
  it('is called in the exact reverse of startup, one after the other', async (t) => {
    const diary: string[] = [];
    const slow = definePlugin({
      metadata: { name: 'slow' },
      startup: () => undefined,
      async shutdown() {
        diary.push('slow begins');
        await new Promise((resolve) => setImmediate(resolve));
        diary.push('slow ends');
      },
    });
    const host = createHost(t, [recorder('a', diary), slow, recorder('c', diary)]);
    await host.startAll();
    await host.stop();
    assert.deepEqual(diary, ['c', 'slow begins', 'slow ends', 'a']);
    assert.deepEqual(
      host.registry.records.map(({ state, running }) => [state, running]),
      Array.from({ length: 3 }, () => ['stopped', null]),
    );
  });

  for (const [how, shutdown] of [
    [
      'throws',
      () => {
        throw new Error('leaky');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('leaky');
      },
    ],
    ['hangs', () => new Promise<void>(() => undefined)],
    [
      'refuses with a 4xx',
      () => {
        throw Object.assign(new Error('leaky'), { status: 404 });
      },
    ],
  ] satisfies [string, NonNullable<Plugin['shutdown']>][]) {
    it(`that ${how} is logged, and no other plugin’s is skipped`, async (t) => {
      const diary: string[] = [];
      const host = createHost(
        t,
        [recorder('a', diary), recorder('bad', diary, shutdown), recorder('c', diary)],
        {
          shutdownTimeoutMs: 10,
        },
      );
      await host.startAll();
      await host.stop();
      assert.deepEqual(diary, ['c', 'bad', 'a']);
      const logged = host.lines.filter(({ event }) => event === 'plugin_shutdown_failed');
      assert.deepEqual(
        logged.map(({ plugin, level }) => [plugin, level]),
        [['bad', 'error']],
      );
      assert.equal(host.record('bad').state, 'stopped');
    });
  }

  it('gets the registrar and the context that startup got, and its signal is aborted before', async (t) => {
    const seen: unknown[] = [];
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'a' },
        startup: (app, context) => void seen.push(app, context),
        shutdown: (app, context) => void seen.push(app, context, context.signal.aborted),
      }),
    ]);
    await host.startAll();
    await host.stop();
    assert.equal(seen[2], seen[0]);
    assert.equal(seen[3], seen[1]);
    assert.equal(seen[4], true);
  });

  it('runs the signal’s listeners as the plugin’s code, so that what they throw is blamed on it', async (t) => {
    const seen: unknown[] = [];
    const listen = ({ signal }: PluginContext): void =>
      signal.addEventListener('abort', () => void seen.push(host.containment.current()?.owner.name));
    const host = createHost(t, [
      definePlugin({ metadata: { name: 'good' }, startup: (_app, context) => listen(context) }),
      definePlugin({
        metadata: { name: 'bad' },
        startup(_app, context) {
          listen(context);
          throw new Error('x');
        },
      }),
    ]);
    await host.startAll();
    await host.stop();
    assert.deepEqual(seen, ['bad', 'good']);
  });

  it('may be missing', async (t) => {
    const host = createHost(t, [definePlugin({ metadata: { name: 'a' }, startup: () => undefined })]);
    await host.startAll();
    await host.stop();
    assert.deepEqual(transitions(host.lines, 'a').at(-1), 'started -> stopped');
  });

  it('is not called for a plugin that did not start', async (t) => {
    const host = createHost(t, [
      definePlugin({
        metadata: { name: 'bad' },
        startup: () => {
          throw new Error('x');
        },
        shutdown: () => assert.fail('called'),
      }),
      definePlugin({
        metadata: { name: 'blocked', dependsOn: ['bad'] },
        startup: () => assert.fail('called'),
        shutdown: () => assert.fail('called'),
      }),
    ]);
    await host.startAll();
    await host.stop();
    assert.deepEqual(
      host.registry.records.map(({ state }) => state),
      ['failed', 'blocked'],
    );
    assert.deepEqual(
      host.lines.filter(({ event }) => event === 'plugin_shutdown_failed'),
      [],
    );
  });

  it('is called for a plugin that was quarantined at run time', async (t) => {
    const diary: string[] = [];
    const host = createHost(t, [recorder('a', diary)]);
    await host.startAll();
    await host.supervisor.quarantine(host.record('a'), 'by hand');
    await host.stop();
    assert.deepEqual(diary, ['a']);
    assert.match(transitions(host.lines, 'a').at(-1) ?? '', /^quarantined -> stopped/);
  });

  it('closes a plugin’s store after its shutdown, with the same care', async (t) => {
    const diary: string[] = [];
    const backend = {
      get: () => undefined,
      set: () => undefined,
      delete: () => false,
      increment: () => 0,
      compareAndSet: () => false,
      list: () => [],
      close: () => {
        diary.push('close');
        throw new Error('leaky');
      },
    };
    const host = createHost(t, [
      recorder('a', diary),
      definePlugin({
        metadata: { name: 'store' },
        startup: (app) => void app.storageBackend(backend),
        shutdown: () => void diary.push('store'),
      }),
    ]);
    await host.startAll();
    await host.stop();
    assert.deepEqual(diary, ['store', 'close', 'a']);
    assert.equal(host.lines.filter(({ event }) => event === 'plugin_shutdown_failed').length, 1);
  });

  it('is called once, however often the gateway is stopped', async (t) => {
    const diary: string[] = [];
    const host = createHost(t, [recorder('a', diary)]);
    await host.startAll();
    await host.stop();
    await host.stop();
    assert.deepEqual(diary, ['a']);
  });
});
