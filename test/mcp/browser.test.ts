import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Running, send } from '../http/support.ts';
import { INITIALIZE, serveTools } from './support.ts';

async function ask(server: Running, headers: Record<string, string>): Promise<number> {
  const answer = await send(server, 'POST', '/mcp', {
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify(INITIALIZE),
  });
  return answer.status;
}

describe('/mcp and browsers', () => {
  it('refuses pages of other sites, and lets those of this machine in', async (t) => {
    const server = await serveTools(t, null);
    for (const origin of [
      'http://evil.example',
      'https://localhost.evil.example',
      'null',
      'x',
      'http://127.0.0.2',
    ]) {
      assert.equal(await ask(server, { origin }), 403, origin);
    }
    for (const origin of ['http://localhost:6274', 'http://127.0.0.1', 'https://[::1]:1']) {
      assert.equal(await ask(server, { origin }), 200, origin);
    }
  });

  it('refuses a name that has been pointed at this machine', async (t) => {
    const server = await serveTools(t, null);
    assert.equal(await ask(server, { host: 'evil.example' }), 403);
    assert.equal(await ask(server, { host: `localhost:${server.port}` }), 200);
    assert.equal(await ask(server, { host: '10.0.0.1' }), 200);
  });

  it('takes any name where credentials are asked for: a page has none', async (t) => {
    const server = await serveTools(t, null, { identities: { ada: {} } });
    assert.equal(await ask(server, { host: 'gateway.example', authorization: 'ada' }), 200);
    const origin = 'https://gateway.example';
    assert.equal(await ask(server, { host: 'gateway.example', authorization: 'ada', origin }), 403);
  });

  it('takes the name that it listens on', async (t) => {
    const server = await serveTools(t, null, { listenHost: 'gateway.internal' });
    const name = 'gateway.internal';
    assert.equal(await ask(server, { host: name, origin: `http://${name}:4000` }), 200);
  });
});
