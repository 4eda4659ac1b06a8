import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import {
  type GatewayProcess,
  spawnGateway,
  startGateway,
  tempDir,
  writeFiles,
} from '../support/gateway-process.ts';
import { inspectPlugin, listPlugins, WITH_ADMIN } from './support.ts';

const ENV = { ...WITH_ADMIN, LLMROUTER_PLUGINS_LOCKFILE: 'plugins.lock.json' };

/** A plugin that leaves the file `canary` as soon as its module runs. */
const GUARD = `import dep from 'dep';
process.getBuiltinModule('node:fs').writeFileSync('canary', String(dep));
export default { metadata: { name: 'guard', capabilities: ['AUTH_PROVIDER'] },
  startup(app) { app.authProvider({ name: 'guard', authenticate: () => ({ id: 'x' }) }); } };`;
const MANIFEST = {
  name: 'guard',
  version: '1.0.0',
  type: 'module',
  llmrouter: { name: 'guard', entry: './index.js', capabilities: ['AUTH_PROVIDER'] },
};
const FILES: Readonly<Record<string, string>> = {
  'plugins/guard/package.json': JSON.stringify(MANIFEST),
  'plugins/guard/index.js': GUARD,
  'plugins/guard/old.js': '',
  'plugins/guard/node_modules/dep/package.json': '{"name":"dep","main":"index.js"}',
  'plugins/guard/node_modules/dep/index.js': 'module.exports = 1;',
};

interface LockOptions {
  readonly dir: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function routeiq(
  t: TestContext,
  command: string,
  { dir, env = ENV }: LockOptions,
): Promise<[number | null, string, string]> {
  const gateway: GatewayProcess = spawnGateway(t, { dir, env, args: command.split(' ') });
  const code = await gateway.exited;
  return [code, gateway.lines.join('\n'), gateway.stderr()];
}

/** A working directory with these files, locked. */
async function locked(
  t: TestContext,
  files = FILES,
  env: Readonly<Record<string, string>> = ENV,
): Promise<string> {
  const dir = tempDir(t, files);
  const [code, out, stderr] = await routeiq(t, 'plugins lock', { dir, env });
  assert.equal(code, 0, out + stderr);
  return dir;
}

async function isOpen(gateway: GatewayProcess): Promise<number> {
  return (await fetch(`${gateway.url}/v1/models`)).status;
}

describe('routeiq plugins lock', { concurrency: 2 }, () => {
  test('writes the lock file without running any plugin; then the gateway starts them', async (t) => {
    const dir = await locked(t);
    assert.equal(existsSync(join(dir, 'canary')), false);
    assert.deepEqual(readdirSync(dir).sort(), ['plugins', 'plugins.lock.json']);
    const lock = JSON.parse(readFileSync(join(dir, 'plugins.lock.json'), 'utf8')) as {
      plugins: { specifier: string; files: Record<string, string> }[];
    };
    assert.deepEqual(
      lock.plugins.map(({ specifier, files }) => [specifier, Object.keys(files)]),
      [
        [
          'plugins/guard',
          [
            'index.js',
            'node_modules/dep/index.js',
            'node_modules/dep/package.json',
            'old.js',
            'package.json',
          ],
        ],
      ],
    );
    const gateway = await startGateway(t, { dir, env: ENV });
    assert.equal((await inspectPlugin(gateway, 'guard')).state, 'started');
    assert.equal(readFileSync(join(dir, 'canary'), 'utf8'), '1');
  });

  test('says what it wrote, and writes the same bytes again', async (t) => {
    const dir = tempDir(t, FILES);
    const env = WITH_ADMIN;
    const [code, out] = await routeiq(t, 'plugins lock', { dir, env });
    assert.equal(code, 0);
    assert.match(out, /^locked +plugins\/guard sha256-\S+ \(5 files\)$/m);
    assert.match(out, /^plugins\.lock\.json was written: 1 plugin$/m);
    assert.match(out, /^set LLMROUTER_PLUGINS_LOCKFILE=plugins\.lock\.json/m);
    const first = readFileSync(join(dir, 'plugins.lock.json'), 'utf8');
    await routeiq(t, 'plugins lock', { dir, env });
    assert.equal(readFileSync(join(dir, 'plugins.lock.json'), 'utf8'), first);
  });

  test('replaces a lock file that is damaged', async (t) => {
    await locked(t, { ...FILES, 'plugins.lock.json': '{' });
  });

  test('leaves out what the operator excludes, without a look at its files', async (t) => {
    const files = { ...FILES, 'plugins/other.mjs': '', 'plugins/off.mjs': '' };
    const dir = tempDir(t, files);
    const env = {
      ...ENV,
      LLMROUTER_PLUGINS_ALLOWLIST: 'plugins/off.mjs,guard',
      LLMROUTER_PLUGINS_DISABLED: 'off',
    };
    const [code, out] = await routeiq(t, 'plugins lock', { dir, env });
    assert.equal(code, 0);
    assert.match(out, /^skipped +plugins\/other\.mjs\n +plugin_not_allowlisted/m);
    assert.match(out, /^skipped +plugins\/off\.mjs\n +plugin_disabled/m);
    assert.match(out, /written: 1 plugin$/m);
  });

  test('writes nothing when a plugin cannot be locked', async (t) => {
    const dir = tempDir(t, { ...FILES, 'plugins.lock.json': 'as it was' });
    symlinkSync('/etc/hostname', join(dir, 'plugins/guard/data'));
    const [code, out] = await routeiq(t, 'plugins lock', { dir });
    assert.equal(code, 1);
    assert.match(out, /^failed +plugins\/guard\n +plugin_security: .*"data" is a link that leads out/m);
    assert.equal(readFileSync(join(dir, 'plugins.lock.json'), 'utf8'), 'as it was');
  });

  test('says that the lock file cannot be written, and leaves nothing behind', async (t) => {
    const dir = tempDir(t, { ...FILES, 'plugins.lock.json/x': '' });
    const [code, , stderr] = await routeiq(t, 'plugins lock', { dir });
    assert.equal(code, 78);
    assert.match(stderr, /^routeiq: LLMROUTER_PLUGINS_LOCKFILE: .*cannot be written/);
    assert.deepEqual(readdirSync(dir).sort(), ['plugins', 'plugins.lock.json']);
  });
});

describe('LLMROUTER_PLUGINS_LOCKFILE', { concurrency: 2 }, () => {
  for (const command of ['start', 'plugins check', 'plugins explain']) {
    test(`${command} ends with 78 when the lock file is missing or damaged`, async (t) => {
      const missing = await routeiq(t, command, { dir: tempDir(t, FILES) });
      assert.equal(missing[0], 78);
      assert.match(
        missing[2],
        /^routeiq: LLMROUTER_PLUGINS_LOCKFILE: plugins\.lock\.json: there is no such file/,
      );
      const damaged = await routeiq(t, command, { dir: tempDir(t, { ...FILES, 'plugins.lock.json': '{' }) });
      assert.equal(damaged[0], 78);
    });
  }

  /** What would open the gate if the manifest on the disk were believed. */
  const POLICY = {
    LLMROUTER_PLUGINS_DISABLED: 'off',
    LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'AUTH_PROVIDER',
    LLMROUTER_PLUGINS_ALLOWLIST: 'guard',
  };
  const CHANGES: Readonly<Record<string, { change: (dir: string) => void; says: RegExp }>> = {
    'a byte changed': {
      change: (dir) => writeFileSync(join(dir, 'plugins/guard/index.js'), `${GUARD} `),
      says: /"index\.js" has changed/,
    },
    'a file was added': {
      change: (dir) => writeFileSync(join(dir, 'plugins/guard/new.json'), '{}'),
      says: /"new\.json" was added/,
    },
    'a file was removed': {
      change: (dir) => rmSync(join(dir, 'plugins/guard/old.js')),
      says: /"old\.js" was removed/,
    },
    'a dependency in its node_modules changed': {
      change: (dir) =>
        writeFileSync(join(dir, 'plugins/guard/node_modules/dep/index.js'), 'module.exports = 2;'),
      says: /"node_modules\/dep\/index\.js" has changed/,
    },
    'a link that leads out was added': {
      change: (dir) => symlinkSync('/etc/hostname', join(dir, 'plugins/guard/data')),
      says: /"data" is a link that leads out/,
    },
    'its manifest no longer declares AUTH_PROVIDER': {
      change: (dir) => rewriteManifest(dir, { capabilities: [] }),
      says: /"package\.json" has changed/,
    },
    'its manifest makes it inactive': {
      change: (dir) => rewriteManifest(dir, { activation: { env: ['NO_SUCH_VARIABLE'] } }),
      says: /"package\.json" has changed/,
    },
    'its manifest takes the name of a disabled plugin': {
      change: (dir) => rewriteManifest(dir, { name: 'off' }),
      says: /"package\.json" has changed/,
    },
    'its manifest takes another name than the allowlist has': {
      change: (dir) => rewriteManifest(dir, {}, { name: 'unheard-of' }),
      says: /"package\.json" has changed/,
    },
    'its manifest asks for what the operator does not allow': {
      change: (dir) => rewriteManifest(dir, { capabilities: ['ROUTES'] }),
      says: /"package\.json" has changed/,
    },
    'it was deleted': {
      change: (dir) => rmSync(join(dir, 'plugins/guard'), { recursive: true }),
      says: /"plugins\/guard" is in the lock file .*there is no such plugin/,
    },
  };
  for (const [what, { change, says }] of Object.entries(CHANGES)) {
    test(`rejects an auth plugin before its code runs when ${what}, and nobody gets in`, async (t) => {
      const dir = await locked(t);
      change(dir);
      const gateway = await startGateway(t, { dir, env: { ...ENV, ...POLICY } });
      const { state, reason, capabilities } = await inspectPlugin(gateway, 'guard');
      assert.equal(state, 'rejected');
      assert.equal(reason?.code, 'plugin_security');
      assert.match(reason.message, says);
      assert.match(reason.message, /routeiq plugins lock|leads out/);
      assert.deepEqual(capabilities, ['AUTH_PROVIDER']);
      assert.equal(await isOpen(gateway), 503);
      assert.equal(existsSync(join(dir, 'canary')), false);
    });
  }

  for (const [what, text] of [
    ['is no JSON any more', '{'],
    ['has a manifest that is wrong now', JSON.stringify({ ...MANIFEST, llmrouter: { capabilities: 3 } })],
  ] as const) {
    test(`nobody gets in when the package.json of a locked auth plugin ${what}`, async (t) => {
      const dir = await locked(t);
      writeFileSync(join(dir, 'plugins/guard/package.json'), text);
      const gateway = await startGateway(t, { dir, env: ENV });
      assert.equal((await inspectPlugin(gateway, 'guard')).state, 'failed');
      assert.equal(await isOpen(gateway), 503);
      assert.equal(existsSync(join(dir, 'canary')), false);
    });
  }

  test('rejects a plugin that was not locked; an auth plugin keeps everybody out', async (t) => {
    const dir = await locked(t, { 'plugins/hello.mjs': 'export default { startup() {} };' });
    writeFiles(dir, FILES);
    const gateway = await startGateway(t, { dir, env: ENV });
    const { state, reason } = await inspectPlugin(gateway, 'guard');
    assert.equal(state, 'rejected');
    assert.match(reason?.message ?? '', /is not in the lock file .*routeiq plugins lock/);
    assert.equal(existsSync(join(dir, 'canary')), false);
    assert.equal(await isOpen(gateway), 503);
    assert.deepEqual(
      (await listPlugins(gateway)).plugins.map(({ state }) => state),
      ['rejected', 'started'],
    );
  });

  test('leaves the gate open when the operator excludes the auth plugin that differs', async (t) => {
    const dir = await locked(t);
    writeFileSync(join(dir, 'plugins/guard/index.js'), '');
    for (const env of [{ LLMROUTER_PLUGINS_DISABLED: 'guard' }, { LLMROUTER_PLUGINS_ALLOWLIST: '' }]) {
      const gateway = await startGateway(t, { dir, env: { ...ENV, ...env } });
      assert.equal(await isOpen(gateway), 200);
      await gateway.stop();
    }
  });

  test('check shows what differs, and ends with 1', async (t) => {
    const dir = await locked(t);
    assert.equal((await routeiq(t, 'plugins check', { dir }))[0], 0);
    rmSync(join(dir, 'canary'));
    writeFileSync(join(dir, 'plugins/guard/index.js'), `${GUARD} `);
    const [code, out] = await routeiq(t, 'plugins check', { dir });
    assert.equal(code, 1);
    assert.match(
      out,
      /^rejected +guard 1\.0\.0 \(plugins\/guard\)\n +plugin_security: .*"index\.js" has changed/m,
    );
    assert.equal(existsSync(join(dir, 'canary')), false);
  });

  const KINDS: Readonly<
    Record<
      string,
      { specifier: string; file: string; source: string; more?: Readonly<Record<string, string>> }
    >
  > = {
    'a single TypeScript file': {
      specifier: './solo.ts',
      file: 'solo.ts',
      source: `const text: string = 'x';
        process.getBuiltinModule('node:fs').writeFileSync('canary', text);
        export default { metadata: { name: 'solo', capabilities: [] }, startup(): void {} };`,
    },
    'a package in node_modules': {
      specifier: '@acme/solo',
      file: 'node_modules/@acme/solo/lib/main.js',
      source: `require('node:fs').writeFileSync('canary', '');
        module.exports = { metadata: { name: 'solo', capabilities: [] }, startup() {} };`,
      more: { 'node_modules/@acme/solo/package.json': '{"name":"@acme/solo","main":"lib/main.js"}' },
    },
    'a module of a package': {
      specifier: 'acme.solo.Solo',
      file: 'node_modules/acme/solo.mjs',
      source: `process.getBuiltinModule('node:fs').writeFileSync('canary', '');
        export class Solo { metadata = { name: 'solo', capabilities: [] }; startup() {} };`,
      more: { 'node_modules/acme/package.json': '{"name":"acme"}' },
    },
  };
  for (const [kind, { specifier, file, source, more }] of Object.entries(KINDS)) {
    test(`starts ${kind} as it was locked, and rejects it when it differs`, async (t) => {
      const env = { ...ENV, LLMROUTER_PLUGINS: specifier };
      const dir = await locked(t, { [file]: source, ...more }, env);
      assert.equal(existsSync(join(dir, 'canary')), false);
      const before = await startGateway(t, { dir, env });
      assert.deepEqual(
        (await listPlugins(before)).plugins.map(({ state }) => state),
        ['started'],
      );
      await before.stop();
      rmSync(join(dir, 'canary'));
      writeFileSync(join(dir, file), `${source}\n`);
      const after = await startGateway(t, { dir, env });
      const [plugin] = (await listPlugins(after)).plugins;
      assert.equal(plugin?.state, 'rejected');
      assert.match(plugin.reason?.message ?? '', /has changed/);
      assert.equal(existsSync(join(dir, 'canary')), false);
    });
  }

  test('takes the working directory itself, which the lock file lies in', async (t) => {
    const files = {
      'package.json': '{"type":"module","main":"index.js"}',
      'index.js': 'export default { startup() {} };',
    };
    const data = tempDir(t);
    const env = { ...ENV, LLMROUTER_PLUGINS: '.', LLMROUTER_DATA_DIR: data };
    const dir = await locked(t, files, env);
    const gateway = await startGateway(t, { dir, env });
    assert.deepEqual(
      (await listPlugins(gateway)).plugins.map(({ state }) => state),
      ['started'],
    );
  });
});

function rewriteManifest(
  dir: string,
  llmrouter: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  const manifest = { ...MANIFEST, ...fields, llmrouter: { ...MANIFEST.llmrouter, ...llmrouter } };
  writeFileSync(join(dir, 'plugins/guard/package.json'), JSON.stringify(manifest));
}
