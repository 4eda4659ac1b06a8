import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import {
  type GatewayProcess,
  type GatewayProcessOptions,
  spawnGateway,
  startGateway,
} from '../support/gateway-process.ts';
import { admin, chat, inspectPlugin, outcome, pluginFile, transitionOf, WITH_ADMIN } from './support.ts';

/** Short, so that the tests are; long enough for a busy machine to run the gateway's own code. */
const ENV = { ...WITH_ADMIN, LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '1000' };

const GOOD = pluginFile({
  metadata: { name: 'good', capabilities: ['ROUTES'] },
  startup(app) {
    app.get('/good', (_req, res) => void res.json(process.pid));
  },
});

/** A plugin with the route `/stall`, which runs `body` after it has made `stuck()` known. */
function stalling(body: string): string {
  return `import { pbkdf2Sync } from 'node:crypto';
export default {
  metadata: { name: 'bad', capabilities: ['ROUTES'] },
  startup(app) {
    app.get('/bad', (_req, res) => void res.json('bad'));
    app.get('/stall', async (_req, res) => { ${body} });
  },
};
function stuck() { for (;;); }
`;
}

interface StallCase {
  readonly name: string;
  readonly body: string;
  readonly phase: string;
  readonly place: RegExp | null;
  readonly requestId: string | null;
}

const STUCK = /^bad\.mjs:\d+:\d+ \(stuck\)$/;

const STALLS: readonly StallCase[] = [
  { name: 'an endless loop', body: 'stuck();', phase: 'route', place: STUCK, requestId: 'req-1' },
  {
    name: 'an endless chain of microtasks',
    body: 'for (;;) await null;',
    phase: 'background',
    place: /^bad\.mjs:6:\d+$/,
    requestId: null,
  },
  {
    name: 'a regular expression that backtracks without end',
    body: '/^(a+)+$/.test("a".repeat(60) + "b");',
    phase: 'route',
    place: /^bad\.mjs:6:\d+$/,
    requestId: 'req-1',
  },
  {
    name: 'a long native call, which cannot be looked into',
    body: 'pbkdf2Sync("a", "b", 2_000_000_000, 64, "sha512");',
    phase: 'route',
    place: null,
    requestId: null,
  },
  {
    name: 'a loop in a timer, after the answer',
    body: 'res.json("soon"); setTimeout(stuck, 10);',
    phase: 'background',
    place: STUCK,
    requestId: null,
  },
];

describe('a plugin that holds up the event loop', { concurrency: 2 }, () => {
  for (const { name, body, phase, place, requestId } of STALLS) {
    test(`${name}: the process ends, names it, and starts without it the next time`, async (t) => {
      const files = { 'plugins/bad.mjs': stalling(body), 'plugins/good.mjs': GOOD };
      const first = await startGateway(t, { env: ENV, files });
      await ask(first, '/stall', { 'x-request-id': 'req-1' });
      assert.equal(await first.exited, null, 'ended by a signal');
      assert.match(first.stderr(), /^routeiq: Plugin "bad" held up the event loop for \d+ ms, phase /);
      const tombstone = readTombstone(first);
      assert.deepEqual(
        [tombstone.plugin?.name, tombstone.phase, tombstone.requestId],
        ['bad', phase, requestId],
      );
      if (place === null) assert.equal(tombstone.place, null);
      else assert.match(String(tombstone.place), place);

      await assertLeftOut(t, first, phase);
    });
  }

  test('a loop in startup: the next start leaves the plugin out', async (t) => {
    const files = {
      'plugins/bad.mjs':
        'export default { metadata: { name: "bad" }, startup: function stuck() { for (;;); } };',
      'plugins/good.mjs': GOOD,
    };
    const env = { ...ENV, ...PATIENCE };
    const first = spawnGateway(t, { env, files });
    assert.equal(await first.exited, null);
    const { plugin, phase, place } = readTombstone(first);
    assert.deepEqual([plugin?.name, phase], ['bad', 'startup']);
    assert.match(String(place), /^bad\.mjs:1:\d+ \(stuck\)$/);
    const second = await startGateway(t, { env, dir: first.dir });
    assert.equal((await inspectPlugin(second, 'bad')).state, 'quarantined');
    assert.equal((await ask(second, '/good'))?.status, 200);
  });

  test('a loop on import: the code is not run again, though only it knows its name', async (t) => {
    const loop = 'for (;;);\n';
    const plugin = GOOD.replaceAll('good', 'other');
    const files = { 'plugins/bad.mjs': loop + plugin, 'plugins/good.mjs': GOOD };
    const env = { ...ENV, ...PATIENCE };
    const first = spawnGateway(t, { env, files });
    assert.equal(await first.exited, null);
    const tombstone = readTombstone(first);
    assert.deepEqual([tombstone.plugin?.specifier, tombstone.phase], ['plugins/bad.mjs', 'import']);
    assert.match(String(tombstone.place), /^bad\.mjs:1:\d+$/);

    const second = await startGateway(t, { env, dir: first.dir, files: { 'plugins/bad.mjs': plugin } });
    assert.equal((await inspectPlugin(second, 'bad')).state, 'quarantined');
    assert.equal((await ask(second, '/good'))?.status, 200);
    const released = await admin(second, '/plugins/bad/release', { method: 'POST' });
    assert.deepEqual(await outcome(released), { status: 409, code: 'conflict' });
    assert.equal(await second.stop(), 0);
    const third = await startGateway(t, { env, dir: first.dir });
    assert.equal((await inspectPlugin(third, 'other')).state, 'started');
  });

  test('what the plugin guarded stays shut at the next start', async (t) => {
    const files = {
      'plugins/keys.mjs': `export default { startup(app) {
        app.authProvider({ name: 'keys', authenticate(request) {
          if (request.headers.authorization === 'stall') for (;;);
          return { subject: 'me' };
        } });
      } };`,
    };
    const first = await startGateway(t, { env: ENV, files });
    assert.equal((await ask(first, '/v1/models'))?.status, 200);
    await ask(first, '/v1/models', { authorization: 'stall' });
    assert.equal(await first.exited, null);
    const second = await startGateway(t, { env: ENV, dir: first.dir });
    assert.deepEqual(await outcome(chat(second)), { status: 503, code: 'auth_unavailable' });
  });

  test('with several workers the others serve on, without the plugin once the first is replaced', async (t) => {
    const files = { 'plugins/bad.mjs': stalling('stuck();'), 'plugins/good.mjs': GOOD };
    const gateway = await startGateway(t, { env: { ...ENV, LLMROUTER_WORKERS: '2' }, files });
    await times(gateway, 2, ({ event }) => event === 'ready');
    const died = gateway.logged(({ event }) => event === 'worker_died');
    const stalled = ask(gateway, '/stall');
    const statuses = new Set<number | undefined>();
    let over = false;
    void died.then(() => {
      over = true;
    });
    for (let i = 0; i < 500 && !over; i++) {
      // Half of the connections go to the worker that is stuck: nobody answers those, until it ends.
      const answer = await ask(gateway, '/good', {}, 100);
      if (answer !== undefined) statuses.add(answer.status);
    }
    assert.equal((await died).signal, 'SIGKILL');
    assert.equal(await stalled, undefined);
    assert.deepEqual([...statuses], [200]);
    await times(gateway, 3, ({ event }) => event === 'ready');
    await times(gateway, 2, transitionOf('bad', 'quarantined'));
    for (let i = 0; i < 10; i++) {
      assert.equal((await ask(gateway, '/bad'))?.status, 503);
      assert.equal((await ask(gateway, '/good'))?.status, 200);
    }
    assert.equal(await gateway.stop(), 0);
  });

  test('a gateway that is busy but turns its loop is left alone', async (t) => {
    const files = {
      'plugins/busy.mjs': `export default { metadata: { name: 'busy', capabilities: ['ROUTES'] }, startup(app) {
        app.get('/busy', (_req, res) => {
          const until = Date.now() + 2500;
          const work = () => {
            for (let i = 0; i < 100_000; i++) Math.sqrt(i);
            if (Date.now() < until) setImmediate(work); else res.json('done');
          };
          work();
        });
      } };`,
    };
    const gateway = await startGateway(t, { env: ENV, files });
    const answers = await Promise.all([ask(gateway, '/busy'), ask(gateway, '/busy')]);
    assert.deepEqual(
      answers.map((answer) => answer?.status),
      [200, 200],
    );
    assert.equal(await gateway.stop(), 0);
  });

  test('0 turns the watchdog off', async (t) => {
    const files = {
      'plugins/bad.mjs': stalling(
        'const until = Date.now() + 2500; while (Date.now() < until); res.json(1);',
      ),
    };
    const gateway = await startGateway(t, {
      env: { ...ENV, LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '0' },
      files,
    });
    assert.equal((await ask(gateway, '/stall'))?.status, 200);
    assert.equal(await gateway.stop(), 0);
  });
});

/** Startups have a limit of their own. */
const PATIENCE = {
  LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS: '1000',
  LLMROUTER_PLUGINS_SHUTDOWN_TIMEOUT_MS: '1000',
};

/** The gateway starts again: the plugin is out, others serve, and an operator's release lets it back in. */
async function assertLeftOut(t: TestContext, first: GatewayProcess, phase: string): Promise<void> {
  const again: GatewayProcessOptions = { env: ENV, dir: first.dir };
  const second = await startGateway(t, again);
  const bad = await inspectPlugin(second, 'bad');
  assert.equal(bad.state, 'quarantined');
  assert.equal(bad.reason?.code, 'plugin_quarantined');
  assert.match(bad.quarantine?.cause ?? '', new RegExp(`held up the event loop for \\d+ ms, phase ${phase}`));
  assert.equal(bad.quarantine?.until, null);
  assert.equal(bad.startupMs, null);
  assert.deepEqual(await outcome(fetch(`${second.url}/bad`)), { status: 503, code: 'plugin_quarantined' });
  assert.equal((await ask(second, '/good'))?.status, 200);
  assert.equal((await chat(second)).status, 200);
  assert.deepEqual(tombstones(second), []);

  assert.equal((await admin(second, '/plugins/bad/release', { method: 'POST' })).status, 200);
  assert.equal((await inspectPlugin(second, 'bad')).state, 'started');
  assert.equal((await ask(second, '/bad'))?.status, 200);
  assert.equal(await second.stop(), 0);
  const third = await startGateway(t, again);
  assert.equal((await inspectPlugin(third, 'bad')).state, 'started');
}

/** `undefined`: nobody answered. A connection of its own each. */
async function ask(
  { url }: GatewayProcess,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  timeoutMs = 60_000,
): Promise<Response | undefined> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url + path, { headers: { connection: 'close', ...headers }, signal });
    await response.arrayBuffer();
    return response;
  } catch {
    return undefined;
  }
}

function times(
  gateway: GatewayProcess,
  n: number,
  is: Parameters<GatewayProcess['logged']>[0],
): Promise<unknown> {
  let seen = 0;
  return gateway.logged((line) => is(line) && ++seen === n);
}

function tombstones({ dir }: GatewayProcess): string[] {
  return readdirSync(join(dir, 'data/tombstones'));
}

interface TombstoneFile {
  readonly plugin: { readonly name: string; readonly specifier: string } | null;
  readonly phase: string | null;
  readonly place: string | null;
  readonly requestId: string | null;
}

function readTombstone(gateway: GatewayProcess): TombstoneFile {
  const [file = '', ...others] = tombstones(gateway);
  assert.deepEqual(others, []);
  return JSON.parse(readFileSync(join(gateway.dir, 'data/tombstones', file), 'utf8')) as TombstoneFile;
}
