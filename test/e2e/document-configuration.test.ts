import assert from 'node:assert/strict';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type GatewayProcess, spawnGateway, startGateway, tempDir } from '../support/gateway-process.ts';
import { inspectPlugin, listPlugins, pluginFile, WITH_ADMIN } from './support.ts';

/** Writes the file `<name>.canary` as soon as it is imported. */
const withCanary = (name: string, capabilities: readonly string[] | null = ['ROUTES']): string => `
  process.getBuiltinModule('node:fs').writeFileSync('${name}.canary', '');
  export default class Plugin {
    metadata = { name: '${name}'${capabilities === null ? '' : `, capabilities: ${JSON.stringify(capabilities)}`} };
    startup() {}
  }`;

const manifest = (name: string, capabilities: readonly string[]): string =>
  JSON.stringify({
    name: `@acme/${name}`,
    type: 'module',
    llmrouter: { entry: './index.js', name, capabilities },
  });

const wasImported = ({ dir }: GatewayProcess, name: string): boolean =>
  existsSync(join(dir, `${name}.canary`));

async function states(gateway: GatewayProcess): Promise<Record<string, string>> {
  const { plugins } = await listPlugins(gateway);
  return Object.fromEntries(plugins.map(({ name, state, reason }) => [name, reason?.code ?? state]));
}

describe('Environment Variables', { concurrency: 2 }, () => {
  test('with none of them set: no plugin is named, all may load and use everything, failure mode continue', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: { 'plugins/a.mjs': withCanary('a', ['ROUTES', 'MIDDLEWARE', 'AUTH_PROVIDER']) },
    });
    const { state, failureMode } = await inspectPlugin(gateway, 'a');
    assert.deepEqual([state, failureMode], ['started', 'continue']);
  });

  test('LLMROUTER_PLUGINS_FAILURE_MODE: case and blanks are ignored; the metadata wins, `continue` too', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_FAILURE_MODE: ' QuaranTine ' },
      files: {
        'plugins/a.mjs': pluginFile({ metadata: { name: 'a' }, startup() {} }),
        'plugins/b.mjs': pluginFile({ metadata: { name: 'b', failureMode: 'continue' }, startup() {} }),
      },
    });
    assert.equal((await inspectPlugin(gateway, 'a')).failureMode, 'quarantine');
    assert.equal((await inspectPlugin(gateway, 'b')).failureMode, 'continue');
  });

  test('.env is read and the environment wins; unknown LLMROUTER_ names are warned of', async (t) => {
    const gateway = await startGateway(t, {
      env: { LLMROUTER_PLUGINS_DISABLED: '', LLMROUTER_PLUGIN_DIR: 'x' },
      files: {
        '.env': `LLMROUTER_ADMIN_KEY=${WITH_ADMIN.LLMROUTER_ADMIN_KEY}\nLLMROUTER_PLUGINS_DISABLED=a\n`,
        'plugins/a.mjs': withCanary('a'),
      },
    });
    assert.equal((await inspectPlugin(gateway, 'a')).state, 'started');
    const warning = await gateway.logged(({ event }) => event === 'config_warning');
    assert.match(String(warning.message), /LLMROUTER_PLUGIN_DIR.*LLMROUTER_PLUGINS_DIR/);
  });
});

describe('Plugin Allowlist', { concurrency: 2 }, () => {
  test('only the plugins named may load, exactly and with case, and no code of others is run', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS: './named.mjs,./other.mjs,myorg.approved.Plugin1',
        LLMROUTER_PLUGINS_ALLOWLIST:
          ' ./named.mjs , plugins/by-folder,@acme/by-package,PLUGINS/CASE,myorg.approved.Plugin1 ',
      },
      files: {
        'named.mjs': withCanary('named'),
        'other.mjs': withCanary('other'),
        'myorg/approved.mjs': withCanary('dotted').replace(
          'export default class Plugin',
          'export class Plugin1',
        ),
        'plugins/by-folder/index.mjs': withCanary('by-folder'),
        'plugins/by-package/package.json': manifest('by-package', ['ROUTES']),
        'plugins/by-package/index.js': withCanary('by-package'),
        'plugins/case/index.mjs': withCanary('case'),
        'plugins/by-folder-not/index.mjs': withCanary('by-folder-not'),
      },
    });
    assert.deepEqual(await states(gateway), {
      named: 'started',
      other: 'plugin_not_allowlisted',
      dotted: 'started',
      'by-folder': 'started',
      'by-folder-not': 'plugin_not_allowlisted',
      'by-package': 'started',
      case: 'plugin_not_allowlisted',
    });
    for (const name of ['other', 'case', 'by-folder-not'])
      assert.equal(wasImported(gateway, name), false, name);
    const { state, reason } = await inspectPlugin(gateway, 'other');
    assert.equal(state, 'rejected');
    assert.match(reason?.message ?? '', /\.\/other\.mjs.*LLMROUTER_PLUGINS_ALLOWLIST/);
  });

  for (const [what, value] of [
    ['to an empty string', ''],
    ['to blanks', '  '],
  ] as const) {
    test(`if set ${what}, no plugins can load`, async (t) => {
      const gateway = await startGateway(t, {
        env: { ...WITH_ADMIN, LLMROUTER_PLUGINS: './a.mjs', LLMROUTER_PLUGINS_ALLOWLIST: value },
        files: { 'a.mjs': withCanary('a'), 'plugins/b.mjs': withCanary('b') },
      });
      assert.deepEqual(await states(gateway), { a: 'plugin_not_allowlisted', b: 'plugin_not_allowlisted' });
      assert.deepEqual([wasImported(gateway, 'a'), wasImported(gateway, 'b')], [false, false]);
    });
  }

  test('a specifier that resolves through ".." or a link out of its folder is refused', async (t) => {
    const dir = tempDir(t, {
      'outside/index.mjs': withCanary('outside'),
      'work/inside/index.mjs': withCanary('inside'),
    });
    mkdirSync(join(dir, 'work/plugins'));
    symlinkSync(join(dir, 'outside'), join(dir, 'work/plugins/linked'));
    const gateway = await startGateway(t, {
      dir: join(dir, 'work'),
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS: './inside/../../outside/index.mjs,./inside' },
    });
    const { plugins } = await listPlugins(gateway);
    assert.deepEqual(
      plugins.map(({ specifier, state, reason }) => [specifier, state, reason?.code ?? null]),
      [
        ['./inside/../../outside/index.mjs', 'rejected', 'plugin_security'],
        ['./inside', 'started', null],
        ['plugins/linked', 'rejected', 'plugin_security'],
      ],
    );
    assert.equal(wasImported(gateway, 'outside'), false);
  });
});

describe('Capability Security Policy', { concurrency: 2 }, () => {
  test('plugins that ask for more are rejected, those with a manifest before their code is run', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES,OBSERVABILITY_EXPORTER' },
      files: {
        'plugins/fits.mjs': withCanary('fits', ['ROUTES', 'OBSERVABILITY_EXPORTER']),
        'plugins/legacy.mjs': withCanary('legacy', null),
        'plugins/too-much.mjs': withCanary('too-much', ['ROUTES', 'MIDDLEWARE']),
        'plugins/manifest/package.json': manifest('manifest', ['AUTH_PROVIDER']),
        'plugins/manifest/index.js': withCanary('manifest', ['AUTH_PROVIDER']),
        'plugins/sly/package.json': manifest('sly', ['ROUTES']),
        'plugins/sly/index.js': withCanary('sly', ['ROUTES', 'OBSERVABILITY_EXPORTER']),
      },
    });
    assert.deepEqual(await states(gateway), {
      fits: 'started',
      legacy: 'started',
      manifest: 'plugin_capability_denied',
      sly: 'plugin_security',
      'too-much': 'plugin_capability_denied',
    });
    assert.equal(wasImported(gateway, 'manifest'), false);
    assert.match((await inspectPlugin(gateway, 'too-much')).reason?.message ?? '', /MIDDLEWARE/);
  });

  test('it bounds what a legacy plugin registers, and the metadata bounds everybody', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES' },
      files: {
        'plugins/legacy.mjs': `export default class Legacy { async startup(app) {
          app.get('/legacy', (req, res) => res.json({}));
          app.use((req, res, next) => next()); } }`,
        'plugins/nothing.mjs': pluginFile({
          metadata: { name: 'nothing', capabilities: [] },
          startup(app) {
            app.get('/nothing', (_req, res) => void res.json({}));
          },
        }),
      },
    });
    const legacy = await inspectPlugin(gateway, 'Legacy');
    assert.deepEqual([legacy.state, legacy.reason?.code], ['failed', 'capability_not_allowed']);
    const nothing = await inspectPlugin(gateway, 'nothing');
    assert.deepEqual([nothing.state, nothing.reason?.code], ['failed', 'capability_not_declared']);
    for (const path of ['/legacy', '/nothing']) assert.equal((await fetch(gateway.url + path)).status, 404);
  });

  test('if set to an empty string no capability may be used', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: '' },
      files: { 'plugins/a.mjs': withCanary('a', ['ROUTES']), 'plugins/b.mjs': withCanary('b', []) },
    });
    assert.deepEqual(await states(gateway), { a: 'plugin_capability_denied', b: 'started' });
  });

  test('an unknown capability is a configuration error', async (t) => {
    const gateway = spawnGateway(t, { env: { LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES: 'ROUTES,ROOTS' } });
    assert.equal(await gateway.exited, 78);
    assert.match(
      gateway.stderr(),
      /^routeiq: LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES.*ROOTS.*ROUTING_STRATEGY.*\n$/,
    );
  });
});
