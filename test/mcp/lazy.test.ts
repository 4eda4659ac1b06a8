import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';
import { createMcpEndpoint } from '../../src/mcp/endpoint.ts';
import { recordingLog, send, start } from '../http/support.ts';

test('the SDK is loaded with the first request', async (t) => {
  const loaded = new Set<string>();
  registerHooks({
    resolve(specifier, context, next) {
      loaded.add(specifier);
      return next(specifier, context);
    },
  });
  const { log } = recordingLog();
  const mcp = createMcpEndpoint({ bodyLimit: 1000, listenHost: '127.0.0.1', sessions: true, log });
  const server = await start(t, { mcp });
  mcp.toolsChanged();
  assert.ok(!loaded.has('@modelcontextprotocol/server'));
  assert.equal((await send(server, 'GET', '/mcp')).status, 406);
  assert.ok(loaded.has('@modelcontextprotocol/server'));
  await mcp.close();
});
