import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SESSION_LIMITS, Sessions } from '../../src/mcp/sessions.ts';
import { connect, INITIALIZE, rpc, runtimeOf, serveTools } from './support.ts';

const LIST = { jsonrpc: '2.0', id: 2, method: 'tools/list' };

/** Opens a session and returns its id. */
async function open(endpoint: string, name?: string): Promise<string> {
  const answer = await rpc(endpoint, INITIALIZE, name === undefined ? {} : { authorization: name });
  await answer.text();
  assert.equal(answer.status, 200);
  return answer.headers.get('mcp-session-id') ?? assert.fail('no session');
}

async function statusOf(answer: Promise<Response>): Promise<number> {
  const { status, body } = await answer;
  await body?.cancel();
  return status;
}

describe('a session of /mcp', () => {
  it('has an id that cannot be guessed', async (t) => {
    const { endpoint } = await serveTools(t, null);
    assert.match(
      await open(endpoint),
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  it('does not exist for anybody but the identity that opened it', async (t) => {
    const { endpoint } = await serveTools(t, null, { identities: { ada: {}, bob: {} } });
    const id = await open(endpoint, 'ada');
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id, authorization: 'ada' })), 200);
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id, authorization: 'bob' })), 404);
    const end = { method: 'DELETE', headers: { 'mcp-session-id': id, authorization: 'bob' } };
    assert.equal(await statusOf(fetch(endpoint, end)), 404);
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id, authorization: 'ada' })), 200);
  });

  it('is needed after the handshake', async (t) => {
    const { endpoint } = await serveTools(t, null);
    assert.equal(await statusOf(rpc(endpoint, LIST)), 400);
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': 'made-up' })), 404);
    const listening = { headers: { accept: 'text/event-stream' } };
    assert.equal(await statusOf(fetch(endpoint, listening)), 400);
  });

  it('is over after DELETE', async (t) => {
    const { endpoint } = await serveTools(t, runtimeOf({}));
    const { transport } = await connect(t, endpoint);
    const id = transport.sessionId ?? assert.fail('no session');
    await transport.terminateSession();
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id })), 404);
  });

  it('refuses a revision of the protocol that it does not know', async (t) => {
    const { endpoint } = await serveTools(t, null);
    const headers = { 'mcp-session-id': await open(endpoint), 'mcp-protocol-version': '1999-01-01' };
    assert.equal(await statusOf(rpc(endpoint, LIST, headers)), 400);
  });

  it('ends when nobody has used it for too long', async (t) => {
    let now = 0;
    const { endpoint } = await serveTools(t, null, { clock: () => now, limits: { idleMs: 1000 } });
    const id = await open(endpoint);
    now = 999;
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id })), 200);
    now = 1998;
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id })), 200);
    now = 2999;
    assert.equal(await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id })), 404);
  });

  it('makes room for others when it has been idle the longest', async (t) => {
    const limits = { total: 3, perIdentity: 2 };
    const { endpoint } = await serveTools(t, null, { limits, identities: { ada: {}, bob: {}, eve: {} } });
    const isOpen = async (id: string, authorization: string): Promise<boolean> =>
      (await statusOf(rpc(endpoint, LIST, { 'mcp-session-id': id, authorization }))) === 200;
    const [bob, first, second] = [
      await open(endpoint, 'bob'),
      await open(endpoint, 'ada'),
      await open(endpoint, 'ada'),
    ];
    // Too many of one identity: its own oldest goes, nobody else's.
    const third = await open(endpoint, 'ada');
    assert.deepEqual([await isOpen(first, 'ada'), await isOpen(second, 'ada')], [false, true]);
    assert.deepEqual([await isOpen(third, 'ada'), await isOpen(bob, 'bob')], [true, true]);
    // Too many of all: the one that was idle the longest goes.
    await open(endpoint, 'eve');
    assert.deepEqual([await isOpen(second, 'ada'), await isOpen(bob, 'bob')], [false, true]);
  });

  it('is not made where requests of one client reach several processes; each stands for itself', async (t) => {
    const { endpoint } = await serveTools(t, runtimeOf({ a: () => 'a' }), { sessions: false });
    const answer = await rpc(endpoint, INITIALIZE);
    assert.equal(answer.headers.get('mcp-session-id'), null);
    assert.equal(await statusOf(rpc(endpoint, LIST)), 200);
    const { client } = await connect(t, endpoint);
    assert.deepEqual((await client.callTool({ name: 'a' })).content, [{ type: 'text', text: 'a' }]);
  });
});

describe('the table of sessions', () => {
  const closed: string[] = [];
  const conversation = (name: string): { close(): void } => ({ close: () => void closed.push(name) });

  it('keeps a session whose stream is open, however long it says nothing', () => {
    let now = 0;
    const sessions = new Sessions({ ...SESSION_LIMITS, idleMs: 10 }, () => now);
    sessions.add('a', null, conversation('a'));
    const done = sessions.use('a');
    now = 1000;
    assert.ok(sessions.get('a', null));
    done();
    now = 1011;
    assert.equal(sessions.get('a', null), null);
    assert.deepEqual(closed.splice(0), ['a']);
  });

  it('refuses one more when all are in use', () => {
    const sessions = new Sessions({ total: 1, perIdentity: 1, idleMs: 1000 }, () => 0);
    sessions.add('a', 'ada', conversation('a'));
    sessions.use('a');
    for (const owner of ['ada', null]) {
      assert.throws(() => sessions.reserve(owner), { code: 'rate_limit_exceeded' });
    }
    assert.deepEqual(closed, []);
  });
});
