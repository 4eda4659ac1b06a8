import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';
import { inspectPlugin, listPlugins, pluginFile, WITH_ADMIN } from './support.ts';

const MY_PLUGIN = `
import { GatewayPlugin, type PluginApp, PluginCapability, type PluginContext } from 'routeiq-gateway/plugin';

export class MyPlugin extends GatewayPlugin {
  override metadata = {
    name: 'my-plugin',
    version: '1.0.0',
    capabilities: new Set([PluginCapability.ROUTES]),
    description: 'My custom plugin',
  };

  override async startup(app: PluginApp, _context: PluginContext): Promise<void> {
    app.get('/my-plugin/hello', async (_req, res) => {
      res.json({ message: 'Hello from my plugin!' });
    });
  }

  override async shutdown(): Promise<void> {}
}
`;

/** A plugin with one route that answers with its own name. */
const greeter = (className: string, name: string): string => `
export class ${className} {
  metadata = { name: '${name}', version: '2.0.0', capabilities: ['ROUTES'] };
  startup(app) { app.get('/${name}', (req, res) => { res.json({ from: '${name}' }); }); }
}`;

describe('Quick Start', { concurrency: 2 }, () => {
  test('1. Create a Plugin: its route answers; 2. Enable the Plugin: LLMROUTER_PLUGINS=mypackage.myplugin.MyPlugin', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_PLUGINS: 'mypackage.myplugin.MyPlugin' },
      files: { 'mypackage/myplugin.ts': MY_PLUGIN },
    });
    const answer = await fetch(`${gateway.url}/my-plugin/hello`);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), { message: 'Hello from my plugin!' });
    const { name, version, capabilities, description, source, specifier, state } = await inspectPlugin(
      gateway,
      'my-plugin',
    );
    assert.deepEqual(
      { name, version, capabilities, description, source, specifier, state },
      {
        name: 'my-plugin',
        version: '1.0.0',
        capabilities: ['ROUTES'],
        description: 'My custom plugin',
        source: 'env',
        specifier: 'mypackage.myplugin.MyPlugin',
        state: 'started',
      },
    );
  });

  test('2. Enable the Plugin: multiple plugins can be loaded by comma-separating', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS:
          ' mypackage.plugin1.Plugin1 , mypackage.plugin2.Plugin2,,./other#Third,@acme/guard ',
      },
      files: {
        'mypackage/plugin1.mjs': greeter('Plugin1', 'one'),
        'node_modules/mypackage/package.json': '{"name":"mypackage","type":"module"}',
        'node_modules/mypackage/plugin2.js': greeter('Plugin2', 'two'),
        'node_modules/mypackage/plugin1.js': greeter('Plugin1', 'one'),
        'other/index.mjs': greeter('Third', 'three'),
        'node_modules/@acme/guard/package.json': '{"name":"@acme/guard","main":"./main.cjs"}',
        'node_modules/@acme/guard/main.cjs': `${greeter('Guard', 'guard').replace('export class', 'class')}
          module.exports = Guard;`,
      },
    });
    for (const name of ['one', 'two', 'three', 'guard']) {
      const answer = await fetch(`${gateway.url}/${name}`);
      assert.deepEqual([answer.status, await answer.json()], [200, { from: name }]);
    }
    assert.deepEqual((await listPlugins(gateway)).order, ['one', 'two', 'three', 'guard']);
  });

  test('a folder or a single file dropped into plugins/ is a plugin, whatever its module format', async (t) => {
    const gateway = await startGateway(t, {
      env: WITH_ADMIN,
      files: {
        'plugins/a-folder/index.ts': MY_PLUGIN,
        'plugins/b.mjs': greeter('B', 'b'),
        'plugins/c.cjs': `${greeter('C', 'c').replace('export class', 'class')} module.exports = { C };`,
        'plugins/d.ts': greeter('D', 'd').replace('startup(app)', 'startup(app: any): void'),
        'plugins/e.js': pluginFile({
          metadata: { name: 'e', capabilities: ['ROUTES'] },
          startup(app) {
            app.get('/e', (_req, res) => {
              res.json({ from: 'e' });
            });
          },
        }),
        'plugins/readme.md': 'not a plugin',
      },
    });
    for (const name of ['b', 'c', 'd', 'e']) {
      const answer = await fetch(`${gateway.url}/${name}`);
      assert.deepEqual([answer.status, await answer.json()], [200, { from: name }]);
    }
    const { order, plugins } = await listPlugins(gateway);
    assert.deepEqual(order, ['my-plugin', 'b', 'c', 'd', 'e']);
    assert.deepEqual(
      plugins.map(({ source, specifier }) => `${source} ${specifier}`),
      ['a-folder', 'b.mjs', 'c.cjs', 'd.ts', 'e.js'].map((file) => `folder plugins/${file}`),
    );
  });
});
