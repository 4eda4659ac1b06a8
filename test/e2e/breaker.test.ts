import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startGateway, writeFiles } from '../support/gateway-process.ts';
import { admin, chat, inspectPlugin, outcome, pluginFile, transitionOf, WITH_ADMIN } from './support.ts';

/** Its route fails while the query says so. */
const flaky = (failureMode: 'continue' | 'quarantine'): string =>
  pluginFile({
    metadata: { name: 'flaky', capabilities: ['ROUTES'], failureMode },
    startup(app) {
      app.get('/flaky', (req, res) => {
        if (req.query.fail !== undefined) throw new Error('broken on demand');
        res.json({ ok: true });
      });
    },
  }).replace('"failureMode":"continue"', `"failureMode":"${failureMode}"`);

const COOLDOWN_MS = 1500;

const QUARANTINED = { status: 503, code: 'plugin_quarantined' };

describe('breaker', { concurrency: 2 }, () => {
  test('trips at the threshold, cools down, admits one trial; failure doubles the cool-down, success starts the plugin', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '3',
        LLMROUTER_PLUGINS_COOLDOWN_MS: String(COOLDOWN_MS),
      },
      files: { 'plugins/flaky.mjs': flaky('continue') },
    });
    const ask = (query = ''): Promise<Response> => fetch(`${gateway.url}/flaky${query}`);
    const cooledDown = async (): Promise<void> => {
      const until = (await inspectPlugin(gateway, 'flaky')).quarantine?.until;
      await new Promise((resolve) => setTimeout(resolve, Date.parse(until ?? '') - Date.now() + 5));
    };

    for (let i = 0; i < 3; i++)
      assert.deepEqual(await outcome(ask('?fail')), { status: 500, code: 'plugin_error' });
    const refused = await ask();
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    assert.deepEqual(await outcome(refused), QUARANTINED);
    const tripped = await gateway.logged(transitionOf('flaky', 'quarantined'));
    assert.equal(tripped.from, 'started');
    assert.match(String(tripped.cause), /broken on demand/);
    const view = await inspectPlugin(gateway, 'flaky');
    assert.equal(view.state, 'quarantined');
    assert.match(view.quarantine?.cause ?? '', /broken on demand/);
    const { since, until } = view.quarantine ?? {};
    assert.equal(Date.parse(until ?? '') - Date.parse(since ?? ''), COOLDOWN_MS);
    assert.equal((await chat(gateway)).status, 200, 'others go on');

    await cooledDown();
    assert.deepEqual(await outcome(ask('?fail')), { status: 500, code: 'plugin_error' });
    assert.deepEqual(await outcome(ask()), QUARANTINED);
    await gateway.logged(({ from, to }) => from === 'quarantined' && to === 'quarantined');
    // Twice as long, counted from the failure: after the first cool-down's end, before now.
    const next = Date.parse((await inspectPlugin(gateway, 'flaky')).quarantine?.until ?? '');
    assert.ok(next >= Date.parse(until ?? '') + 2 * COOLDOWN_MS && next <= Date.now() + 2 * COOLDOWN_MS);

    await cooledDown();
    assert.equal((await ask()).status, 200);
    const restarted = await gateway.logged(transitionOf('flaky', 'started'));
    assert.ok(restarted);
    assert.equal((await ask()).status, 200);
    const { state, quarantine } = await inspectPlugin(gateway, 'flaky');
    assert.deepEqual([state, quarantine], ['started', null]);
    const transitions = gateway.log.filter(
      ({ event, plugin }) => event === 'plugin_transition' && plugin === 'flaky',
    );
    assert.deepEqual(
      transitions.map(({ from, to }) => `${from} ${to}`),
      [
        'discovered loaded',
        'loaded started',
        'started quarantined',
        'quarantined quarantined',
        'quarantined started',
      ],
    );
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`mode quarantine: stays until it is released, across a restart by ${signal}`, async (t) => {
      const env = {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1',
        LLMROUTER_PLUGINS_COOLDOWN_MS: '1',
      };
      const first = await startGateway(t, { env, files: { 'plugins/flaky.mjs': flaky('quarantine') } });
      const { dir } = first;
      assert.equal((await fetch(`${first.url}/flaky?fail`)).status, 500);
      const { state, quarantine } = await inspectPlugin(first, 'flaky');
      assert.deepEqual([state, quarantine?.until], ['quarantined', null]);
      first.kill(signal);
      await first.exited;

      const second = await startGateway(t, { dir, env });
      const refused = await fetch(`${second.url}/flaky`);
      assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
      assert.deepEqual(await outcome(refused), QUARANTINED);
      const stored = (await inspectPlugin(second, 'flaky')).quarantine;
      assert.deepEqual(stored, quarantine);
      assert.equal((await admin(second, '/plugins/flaky/release', { method: 'POST' })).status, 200);
      assert.equal((await fetch(`${second.url}/flaky`)).status, 200);
      assert.equal(await second.stop(), 0);

      const third = await startGateway(t, { dir, env });
      assert.equal((await fetch(`${third.url}/flaky`)).status, 200);
    });
  }

  test("an operator's quarantine survives a restart, whatever the mode; what the plugin guarded stays shut", async (t) => {
    const gate = pluginFile({
      metadata: { name: 'gate', capabilities: ['AUTH_PROVIDER'] },
      startup(app) {
        app.authProvider({ name: 'gate', authenticate: () => ({ id: 'anybody' }) });
      },
    });
    const first = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/gate.mjs': gate } });
    assert.equal((await chat(first)).status, 200);
    assert.equal((await admin(first, '/plugins/gate/quarantine', { method: 'POST' })).status, 200);
    const unavailable = { status: 503, code: 'auth_unavailable' };
    assert.deepEqual(await outcome(chat(first)), unavailable);
    first.kill('SIGKILL');
    await first.exited;
    const second = await startGateway(t, { dir: first.dir, env: WITH_ADMIN });
    assert.deepEqual(await outcome(chat(second)), unavailable);
    assert.equal((await admin(second, '/plugins/gate/release', { method: 'POST' })).status, 200);
    assert.equal((await chat(second)).status, 200);
  });

  test('a plugin that was quarantined at startup is started by its release', async (t) => {
    const late = pluginFile({
      metadata: { name: 'late', capabilities: ['ROUTES'], failureMode: 'quarantine' },
      startup(app) {
        app.get('/late', (_req, res) => void res.json({}));
        if (!process.getBuiltinModule('node:fs').existsSync('ready')) throw new Error('not yet');
      },
    });
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/late.mjs': late } });
    const release = (): Promise<Response> => admin(gateway, '/plugins/late/release', { method: 'POST' });
    const refused = (await (await release()).json()) as { error: { code: string; message: string } };
    assert.equal(refused.error.code, 'conflict');
    assert.match(refused.error.message, /not yet/);
    assert.equal((await inspectPlugin(gateway, 'late')).state, 'quarantined');
    writeFiles(gateway.dir, { ready: '' });
    assert.equal((await release()).status, 200);
    assert.equal((await fetch(`${gateway.url}/late`)).status, 200);
    assert.equal((await inspectPlugin(gateway, 'late')).state, 'started');
  });

  test('after the cool-down one call at a time is the trial, the others are still refused', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1', LLMROUTER_PLUGINS_COOLDOWN_MS: '1' },
      files: {
        'plugins/slow.mjs': pluginFile({
          metadata: { name: 'slow', capabilities: ['ROUTES'] },
          startup(app, { logger }) {
            app.get('/fail', () => {
              throw new Error('broken');
            });
            app.get('/wait', (_req, res) => {
              logger.info('trial');
              process.once('SIGUSR2', () => res.json({}));
            });
          },
        }),
      },
    });
    assert.equal((await fetch(`${gateway.url}/fail`)).status, 500);
    const until = Date.parse((await inspectPlugin(gateway, 'slow')).quarantine?.until ?? '');
    while (Date.now() <= until) await new Promise((resolve) => setImmediate(resolve));
    const trial = fetch(`${gateway.url}/wait`);
    await gateway.logged(({ message }) => message === 'trial');
    assert.deepEqual(await outcome(fetch(`${gateway.url}/wait`)), QUARANTINED);
    gateway.kill('SIGUSR2');
    assert.equal((await trial).status, 200);
    assert.equal((await inspectPlugin(gateway, 'slow')).state, 'started');
  });
});
