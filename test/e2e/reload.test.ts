import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type GatewayProcess, type LogLine, startGateway, writeFiles } from '../support/gateway-process.ts';
import {
  ADMIN_KEY,
  admin,
  inspectPlugin,
  listPlugins,
  metric,
  outcome,
  readTrace,
  transitionOf,
} from './support.ts';

const WITH_ADMIN = { LLMROUTER_ADMIN_KEY: ADMIN_KEY };

interface Change {
  readonly name: string;
  readonly change: string;
  readonly state: string;
  readonly from: string | null;
  readonly to: string | null;
}

interface ReloadAnswer {
  readonly status: number;
  readonly changed: readonly Change[];
  readonly unchanged: readonly string[];
  readonly failed: readonly { readonly name: string; readonly code: string; readonly message: string }[];
  readonly error: { readonly code: string; readonly message: string };
  readonly version: string;
  readonly state: string;
}

async function reload(gateway: GatewayProcess, path: string): Promise<ReloadAnswer> {
  const response = await admin(gateway, `/plugins/${path}`, { method: 'POST' });
  return { status: response.status, ...((await response.json()) as Omit<ReloadAnswer, 'status'>) };
}

/** A plugin of three files that answers with the version that each of its helpers has. */
function versioned(version: string, extra = ''): Record<string, string> {
  return {
    'plugins/v/package.json': JSON.stringify({ name: 'v', version, type: 'module' }),
    'plugins/v/lib/a.js': `import { b } from './b.js';\nexport const a = '${version}';\nexport const both = () => [a, b];\n`,
    'plugins/v/lib/b.js': `export const b = '${version}';\n`,
    'plugins/v/data.txt': version,
    'plugins/v/index.js': `
      import { readFileSync } from 'node:fs';
      import { both } from './lib/a.js';
      const write = (text) => process.getBuiltinModule('node:fs').appendFileSync('trace', text + '\\n');
      export default {
        metadata: { name: 'v', version: '${version}', capabilities: ['ROUTES', 'MIDDLEWARE'] },
        startup(app, context) {
          write('+v ${version}');
          ${extra}
          app.get('/v', (_req, res) => { res.json(both()); });
          app.get('/v/data', (_req, res) => { res.send(readFileSync(new URL('./data.txt', import.meta.url), 'utf8')); });
          app.get('/v/slow', async (_req, res) => {
            res.write('${version} ');
            await new Promise((resolve) => { globalThis.finishSlow = resolve; });
            res.end(both().join());
          });
          app.get('/v/finish', (_req, res) => { globalThis.finishSlow(); res.end(); });
          app.get('/v/fail', () => { throw new Error('as asked'); });
        },
        shutdown() { write('-v ${version}'); },
      };`,
  };
}

function simple(name: string, version: string, more: object = {}, startup = ''): string {
  const metadata = JSON.stringify({ name, version, capabilities: ['ROUTES'], ...more });
  return `
    const write = (text) => process.getBuiltinModule('node:fs').appendFileSync('trace', text + '\\n');
    export default {
      metadata: ${metadata},
      startup(app) { write('+${name} ${version}'); ${startup} app.get('/${name}', (_req, res) => { res.send('${version}'); }); },
      shutdown() { write('-${name} ${version}'); },
    };`;
}

async function text(gateway: GatewayProcess, path: string): Promise<string> {
  return (await fetch(`${gateway.url}${path}`)).text();
}

describe('a reload', () => {
  test('replaces a plugin with all its files, helpers and data included', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: versioned('1.0.0') });
    assert.equal(await text(gateway, '/v'), '["1.0.0","1.0.0"]');
    for (const version of ['1.1.0', '1.2.0']) {
      writeFiles(gateway.dir, versioned(version));
      const answer = await reload(gateway, 'v/reload');
      assert.equal(answer.status, 200, JSON.stringify(answer));
      assert.equal(answer.version, version);
      assert.deepEqual(
        answer.changed.map(({ name, change, to }) => [name, change, to]),
        [['v', 'reloaded', version]],
      );
      assert.equal(await text(gateway, '/v'), JSON.stringify([version, version]));
      assert.equal(await text(gateway, '/v/data'), version);
    }
  });

  test('reloads what has changed, and nothing else', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: { 'plugins/a.mjs': simple('a', '1.0.0'), 'plugins/b.mjs': simple('b', '1.0.0') },
    });
    assert.deepEqual(await reload(gateway, 'reload').then(({ changed, unchanged }) => [changed, unchanged]), [
      [],
      ['a', 'b'],
    ]);
    writeFiles(gateway.dir, { 'plugins/b.mjs': simple('b', '1.0.1'), 'plugins/c.mjs': simple('c', '1.0.0') });
    const { changed } = await reload(gateway, 'reload');
    assert.deepEqual(
      changed.map(({ name, change, from, to }) => [name, change, from, to]),
      [
        ['b', 'reloaded', '1.0.0', '1.0.1'],
        ['c', 'added', null, '1.0.0'],
      ],
    );
    rmSync(join(gateway.dir, 'plugins/a.mjs'));
    assert.deepEqual(
      (await reload(gateway, 'reload')).changed.map(({ name, change }) => [name, change]),
      [['a', 'removed']],
    );
    assert.equal((await fetch(`${gateway.url}/a`)).status, 404);
    assert.deepEqual((await listPlugins(gateway)).order, ['b', 'c']);
    await gateway.logged(transitionOf('a', 'stopped'));
    assert.deepEqual(readTrace(gateway), [
      '+a 1.0.0',
      '+b 1.0.0',
      '+b 1.0.1',
      '+c 1.0.0',
      '-b 1.0.0',
      '-a 1.0.0',
    ]);
  });

  test('gives plugins that depend on the changed one new instances, and stops the old ones in reverse', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: {
        'plugins/a.mjs': simple('a', '1.0.0'),
        'plugins/b.mjs': simple('b', '1.0.0', { dependsOn: ['a'] }),
        'plugins/c.mjs': simple('c', '1.0.0', { dependsOn: ['b'] }),
        'plugins/d.mjs': simple('d', '1.0.0'),
      },
    });
    const { changed, unchanged } = await reload(gateway, 'a/reload');
    assert.deepEqual(
      changed.map(({ name, change }) => [name, change]),
      [
        ['a', 'reloaded'],
        ['b', 'restarted'],
        ['c', 'restarted'],
      ],
    );
    assert.deepEqual(unchanged, ['d']);
    await gateway.logged(transitionOf('a', 'stopped'));
    assert.deepEqual(
      readTrace(gateway).slice(4),
      ['+a', '+b', '+c', '-c', '-b', '-a'].map((line) => `${line} 1.0.0`),
    );
  });

  const broken: readonly [what: string, code: string, Record<string, string>][] = [
    ['cannot be parsed', 'plugin_load', { 'plugins/v/lib/b.js': 'export const b = ;' }],
    ['throws at startup', 'plugin_error', versioned('2.0.0', 'throw new Error("no database");')],
    ['claims a path of another plugin', 'route_conflict', versioned('2.0.0', "app.get('/other', () => {});")],
    [
      'asks for a capability that is not allowed',
      'plugin_capability_denied',
      {
        'plugins/v/index.js': simple('v', '2.0.0', { capabilities: ['ROUTES', 'EVALUATOR'] }),
      },
    ],
    [
      'depends on nobody',
      'plugin_dependency',
      { 'plugins/v/index.js': simple('v', '2.0.0', { dependsOn: ['nobody'] }) },
    ],
    ['takes the name of another plugin', 'plugin_load', { 'plugins/v/index.js': simple('other', '2.0.0') }],
    [
      'is unhealthy',
      'plugin_error',
      {
        'plugins/v/index.js': `export default { metadata: { name: 'v' }, startup() {}, healthCheck: () => ({ status: 'unhealthy', message: 'ill' }) };`,
      },
    ],
  ];
  for (const [what, code, files] of broken) {
    test(`changes nothing when the new version ${what}`, async (t) => {
      const gateway = await startGateway(t, {
        env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES,MIDDLEWARE' },
        files: { ...versioned('1.0.0'), 'plugins/other.mjs': simple('other', '1.0.0') },
      });
      writeFiles(gateway.dir, files);
      for (const path of ['v/reload', 'reload']) {
        const answer = await reload(gateway, path);
        assert.equal(answer.status, 422);
        assert.equal(answer.error.code, 'plugin_reload_failed');
        assert.match(answer.error.message, /^Nothing was reloaded.*"(v|other)"/);
        assert.deepEqual(
          answer.failed.map((failure) => failure.code),
          [code],
          JSON.stringify(answer.failed),
        );
        assert.equal(await text(gateway, '/v'), '["1.0.0","1.0.0"]');
      }
      writeFiles(gateway.dir, versioned('3.0.0'));
      assert.equal((await reload(gateway, 'reload')).status, 200);
      assert.equal(await text(gateway, '/v'), '["3.0.0","3.0.0"]');
      assert.equal(await metric(gateway, 'llmrouter_plugin_reloads_total', { result: 'failed' }), 2);
    });
  }

  test('shuts the new instances down again when a later one fails', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: {
        'plugins/a.mjs': simple('a', '1.0.0'),
        'plugins/b.mjs': simple('b', '1.0.0', { dependsOn: ['a'] }),
      },
    });
    writeFiles(gateway.dir, {
      'plugins/a.mjs': simple('a', '2.0.0'),
      'plugins/b.mjs': simple('b', '2.0.0', { dependsOn: ['a'] }, 'throw new Error("late");'),
    });
    assert.equal((await reload(gateway, 'reload')).status, 422);
    assert.deepEqual(readTrace(gateway), ['+a 1.0.0', '+b 1.0.0', '+a 2.0.0', '+b 2.0.0', '-a 2.0.0']);
    assert.equal(await text(gateway, '/a'), '1.0.0');
  });

  test('lets requests finish on the version that they began with, and stops it after them', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: versioned('1.0.0') });
    const slow = await fetch(`${gateway.url}/v/slow`);
    writeFiles(gateway.dir, versioned('2.0.0'));
    assert.equal((await reload(gateway, 'v/reload')).status, 200);
    assert.equal(await text(gateway, '/v'), '["2.0.0","2.0.0"]');
    assert.deepEqual(readTrace(gateway), ['+v 1.0.0', '+v 2.0.0']);
    await text(gateway, '/v/finish');
    assert.equal(await slow.text(), '1.0.0 1.0.0,1.0.0');
    await gateway.logged(transitionOf('v', 'stopped'));
    assert.deepEqual(readTrace(gateway), ['+v 1.0.0', '+v 2.0.0', '-v 1.0.0']);
  });

  test('mends a plugin that failed at the start, and one that is quarantined', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: {
        'plugins/a.mjs': simple('a', '1.0.0', {}, 'throw new Error("no");'),
        'plugins/q.mjs': simple('q', '1.0.0'),
      },
    });
    assert.equal((await inspectPlugin(gateway, 'a')).state, 'failed');
    await admin(gateway, '/plugins/q/quarantine', { method: 'POST' });
    assert.deepEqual((await reload(gateway, 'reload')).changed, []);
    writeFiles(gateway.dir, { 'plugins/a.mjs': simple('a', '1.0.1'), 'plugins/q.mjs': simple('q', '1.0.1') });
    assert.deepEqual(
      (await reload(gateway, 'reload')).changed.map(({ name, state }) => [name, state]),
      [
        ['a', 'started'],
        ['q', 'started'],
      ],
    );
    await gateway.stop();
    const again = await startGateway(t, { env: WITH_ADMIN, dir: gateway.dir });
    assert.equal((await inspectPlugin(again, 'q')).state, 'started');
  });

  test('answers 404 for a plugin that nobody knows, and loads one that has just appeared', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN });
    assert.deepEqual(await outcome(admin(gateway, '/plugins/a/reload', { method: 'POST' })), {
      status: 404,
      code: 'not_found',
    });
    writeFiles(gateway.dir, { 'plugins/a.mjs': simple('a', '1.0.0') });
    assert.equal((await reload(gateway, 'a/reload')).status, 200);
    assert.equal(await text(gateway, '/a'), '1.0.0');
  });

  test('waits for the reload before it, and leaves no copies behind', async (t) => {
    const gateway = await startGateway(t, { env: WITH_ADMIN, files: versioned('1.0.0') });
    const answers = await Promise.all(Array.from({ length: 8 }, () => reload(gateway, 'v/reload')));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    const copies = readdirSync(tmpdir()).filter((name) => name.startsWith(`routeiq-plugins-${gateway.pid}-`));
    assert.equal(copies.length, 1);
    assert.equal(await gateway.stop(), 0);
    assert.equal(existsSync(join(tmpdir(), copies[0] ?? '')), false);
    const trace = readTrace(gateway);
    assert.equal(trace.filter((line) => line.startsWith('+')).length, 9);
    assert.equal(trace.filter((line) => line.startsWith('-')).length, 9);
  });
});

describe('a new version on probation', () => {
  const env = { ...WITH_ADMIN, LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '3' };

  test('gives way to the version before it when it fails too often', async (t) => {
    const gateway = await startGateway(t, { env, files: versioned('1.0.0') });
    writeFiles(gateway.dir, versioned('2.0.0'));
    await reload(gateway, 'reload');
    const view = (await inspectPlugin(gateway, 'v')) as unknown as { probation: { previous: string } | null };
    assert.equal(view.probation?.previous, '1.0.0');
    for (let i = 0; i < 3; i++) assert.equal((await fetch(`${gateway.url}/v/fail`)).status, 500);
    const line = await gateway.logged(({ event }) => event === 'plugin_rolled_back');
    assert.deepEqual([line.level, line.plugin, line.from, line.to], ['error', 'v', '2.0.0', '1.0.0']);
    assert.equal(await text(gateway, '/v'), '["1.0.0","1.0.0"]');
    assert.equal(await metric(gateway, 'llmrouter_plugin_rollbacks_total', { plugin: 'v' }), 1);
    const { state, rollback, version } = (await inspectPlugin(gateway, 'v')) as unknown as {
      state: string;
      version: string;
      rollback: { version: string; cause: string };
    };
    assert.deepEqual([state, version, rollback.version], ['started', '1.0.0', '2.0.0']);
    assert.match(rollback.cause, /as asked/);
  });

  test('is an ordinary plugin when its time is over', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...env, LLMROUTER_PLUGINS_PROBATION_MS: '1' },
      files: versioned('1.0.0'),
    });
    writeFiles(gateway.dir, versioned('2.0.0'));
    await reload(gateway, 'reload');
    for (let i = 0; i < 3; i++) await fetch(`${gateway.url}/v/fail`);
    assert.deepEqual(await outcome(fetch(`${gateway.url}/v`)), { status: 503, code: 'plugin_quarantined' });
    assert.equal((await inspectPlugin(gateway, 'v')).state, 'quarantined');
  });
});

describe('LLMROUTER_PLUGINS_WATCH', () => {
  const env = { ...WITH_ADMIN, LLMROUTER_PLUGINS_WATCH: 'true' };
  const reloaded = (name: string, to: string | null) => (line: LogLine) =>
    line.event === 'plugins_reloaded' &&
    (line.changed as Change[]).some((change) => change.name === name && change.to === to);
  const failed = ({ event }: LogLine): boolean => event === 'plugin_reload_failed';

  test('loads what appears, reloads what changes and shuts down what vanishes', async (t) => {
    const gateway = await startGateway(t, { env, files: { 'plugins/a.mjs': simple('a', '1.0.0') } });
    writeFiles(gateway.dir, versioned('1.0.0'));
    await gateway.logged(reloaded('v', '1.0.0'));
    assert.equal(await text(gateway, '/v'), '["1.0.0","1.0.0"]');
    writeFiles(gateway.dir, { 'plugins/v/lib/b.js': "export const b = '1.0.1';" });
    await gateway.logged(
      ({ event, changed }) => event === 'plugins_reloaded' && (changed as Change[])[0]?.change === 'reloaded',
    );
    assert.equal(await text(gateway, '/v'), '["1.0.0","1.0.1"]');
    rmSync(join(gateway.dir, 'plugins/v'), { recursive: true });
    await gateway.logged(reloaded('v', null));
    assert.equal((await fetch(`${gateway.url}/v`)).status, 404);
    assert.equal(await text(gateway, '/a'), '1.0.0');
  });

  test('keeps what runs when the change is broken, also beside one that is not', async (t) => {
    const gateway = await startGateway(t, {
      env,
      files: { 'plugins/a.mjs': simple('a', '1.0.0'), 'plugins/b.mjs': simple('b', '1.0.0') },
    });
    writeFiles(gateway.dir, { 'plugins/a.mjs': 'export default {', 'plugins/b.mjs': simple('b', '2.0.0') });
    await gateway.logged(reloaded('b', '2.0.0'));
    await gateway.logged(failed);
    assert.deepEqual([await text(gateway, '/a'), await text(gateway, '/b')], ['1.0.0', '2.0.0']);
    writeFiles(gateway.dir, { 'plugins/a.mjs': simple('a', '3.0.0') });
    await gateway.logged(reloaded('a', '3.0.0'));
    assert.equal(await text(gateway, '/a'), '3.0.0');
  });

  test('does not take away a plugin that guards, nor release one that an operator took out', async (t) => {
    const gateway = await startGateway(t, {
      env,
      files: {
        'plugins/auth.mjs': AUTH,
        'plugins/q.mjs': simple('q', '1.0.0'),
        'plugins/z.mjs': simple('z', '1.0.0'),
      },
    });
    await admin(gateway, '/plugins/q/quarantine', { method: 'POST' });
    rmSync(join(gateway.dir, 'plugins/auth.mjs'));
    writeFiles(gateway.dir, { 'plugins/q.mjs': simple('q', '2.0.0'), 'plugins/z.mjs': simple('z', '2.0.0') });
    await gateway.logged(reloaded('z', '2.0.0'));
    assert.equal((await fetch(`${gateway.url}/z`)).status, 401);
    const inside = { headers: { authorization: 'Bearer in' } };
    assert.equal(await (await fetch(`${gateway.url}/z`, inside)).text(), '2.0.0');
    assert.equal((await fetch(`${gateway.url}/q`, inside)).status, 503);
    assert.equal((await reload(gateway, 'reload')).status, 200);
    assert.equal((await fetch(`${gateway.url}/z`)).status, 200);
  });
});

const AUTH = `export default {
  metadata: { name: 'auth', version: '1.0.0', capabilities: ['AUTH_PROVIDER'] },
  startup(app) {
    app.authProvider({ name: 'key', authenticate: ({ headers }) => (headers.authorization === 'Bearer in' ? { id: 'x' } : null) });
  },
};`;

test('with several workers a reload reaches all of them', async (t) => {
  const gateway = await startGateway(t, {
    env: { ...WITH_ADMIN, LLMROUTER_WORKERS: '2' },
    files: { 'plugins/a.mjs': simple('a', '1.0.0') },
  });
  await nth(gateway, ({ event }) => event === 'ready', 2);
  writeFiles(gateway.dir, { 'plugins/a.mjs': simple('a', '2.0.0') });
  assert.equal((await reload(gateway, 'a/reload')).status, 200);
  await nth(gateway, ({ event }) => event === 'plugins_reloaded', 2);
  for (let i = 0; i < 10; i++) assert.equal(await text(gateway, '/a'), '2.0.0');
});

/** Resolves when `test` has held for `count` lines. */
async function nth(gateway: GatewayProcess, test: (line: LogLine) => boolean, count: number): Promise<void> {
  await gateway.logged(() => gateway.log.filter(test).length >= count);
}
