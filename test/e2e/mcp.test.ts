import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../mcp/support.ts';
import { startGateway } from '../support/gateway-process.ts';
import { admin, listPlugins, pluginFile, WITH_ADMIN } from './support.ts';

const TOOLS = pluginFile({
  metadata: { name: 'tools', capabilities: ['TOOL_RUNTIME'] },
  startup(app, context) {
    let names = ['now'];
    app.toolRuntime({
      listTools: () => names.map((name) => ({ name, inputSchema: { type: 'object' } })),
      callTool: () => {
        names = ['now', 'then'];
        context.tools.changed();
        return 'called';
      },
    });
  },
});

test('a client of /mcp is told when a plugin changes its tools, is quarantined and released', async (t) => {
  const gateway = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/tools.js': TOOLS } });
  const { client } = await connect(t, `${gateway.url}/mcp`, { modern: true });
  const names = async (): Promise<string[]> => (await client.listTools()).tools.map(({ name }) => name);
  const told = (): Promise<void> =>
    new Promise((resolve) =>
      client.setNotificationHandler('notifications/tools/list_changed', () => resolve()),
    );
  await client.listen({ toolsListChanged: true });
  assert.deepEqual(await names(), ['now']);

  for (const [change, expected] of [
    [() => client.callTool({ name: 'now' }), ['now', 'then']],
    [() => admin(gateway, '/plugins/tools/quarantine', { method: 'POST' }), []],
    [() => admin(gateway, '/plugins/tools/release', { method: 'POST' }), ['now', 'then']],
  ] as const) {
    const notification = told();
    await change();
    await notification;
    assert.deepEqual(await names(), expected);
  }
  // The stream for notifications is still open: it must not hold up the end.
  assert.equal(await gateway.stop(), 0);
});

test('a plugin cannot take /mcp', async (t) => {
  const thief = pluginFile({
    metadata: { name: 'thief', capabilities: ['ROUTES'] },
    startup(app) {
      app.post('/mcp', (_req, res) => void res.end());
    },
  });
  const gateway = await startGateway(t, { env: WITH_ADMIN, files: { 'plugins/thief.js': thief } });
  const { plugins } = await listPlugins(gateway);
  assert.equal(plugins[0]?.reason?.code, 'route_conflict');
});
