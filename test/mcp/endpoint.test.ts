import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { ToolCall } from '../../src/plugin-api/tools.ts';
import { connect, INITIALIZE, rpc, runtimeOf, serveTools } from './support.ts';

const ADD = {
  name: 'add',
  description: 'Adds two numbers',
  inputSchema: {
    type: 'object',
    properties: { a: { type: 'number' }, b: { type: 'number' } },
    required: ['a', 'b'],
    additionalProperties: false,
  },
};

for (const modern of [false, true]) {
  describe(`/mcp for clients of revision ${modern ? '2026-07-28' : '2025-11-25'}`, () => {
    it('lists no tools when no plugin has any', async (t) => {
      const { endpoint } = await serveTools(t, null);
      const { client } = await connect(t, endpoint, { modern });
      assert.deepEqual((await client.listTools()).tools, []);
    });

    it('lists and calls the tools of plugins', async (t) => {
      const { endpoint } = await serveTools(t, {
        listTools: () => [ADD],
        callTool: (_name, { a, b }) => ({ content: [], structuredContent: { sum: Number(a) + Number(b) } }),
      });
      const { client } = await connect(t, endpoint, { modern });
      assert.deepEqual(
        (await client.listTools()).tools.map(({ name, description, inputSchema }) => ({
          name,
          description,
          inputSchema,
        })),
        [ADD],
      );
      const result = await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } });
      assert.deepEqual(result.structuredContent, { sum: 5 });
    });

    it('tells a tool who asks, and under which request id', async (t) => {
      const seen: ToolCall[] = [];
      const runtime = runtimeOf({ who: (_name, _args, call) => String(seen.push(call)) });
      const { endpoint } = await serveTools(t, runtime, { identities: { ada: { team: 'blue' } } });
      const { client } = await connect(t, endpoint, { name: 'ada', modern });
      await client.callTool({ name: 'who' });
      assert.deepEqual(seen[0]?.identity, { id: 'ada', team: 'blue' });
      assert.match(seen[0]?.id ?? '', /^[0-9a-f-]{36}$/);
    });

    it('shows and runs only the tools that the identity may use', async (t) => {
      const runtime = runtimeOf({ 'files.read': () => 'read', 'files.write': () => 'written' });
      const { endpoint } = await serveTools(t, runtime, {
        identities: { reader: { tools: ['files.r*'] }, nobody: { tools: 'files.read' as never } },
      });
      const { client } = await connect(t, endpoint, { name: 'reader', modern });
      assert.deepEqual(
        (await client.listTools()).tools.map(({ name }) => name),
        ['files.read'],
      );
      const { content } = await client.callTool({ name: 'files.read' });
      assert.deepEqual(content, [{ type: 'text', text: 'read' }]);
      await assert.rejects(client.callTool({ name: 'files.write' }), /Unknown tool: files\.write/);
      const other = await connect(t, endpoint, { name: 'nobody', modern });
      assert.deepEqual((await other.client.listTools()).tools, []);
    });

    it('passes on how far a call has come', async (t) => {
      const runtime = runtimeOf({
        slow: (_name, _args, { progress }) => {
          progress?.({ progress: 1, total: 2, message: 'half' });
          return 'done';
        },
      });
      const { endpoint } = await serveTools(t, runtime);
      const { client } = await connect(t, endpoint, { modern });
      const reports: unknown[] = [];
      await client.callTool({ name: 'slow' }, { onprogress: (report) => reports.push(report) });
      assert.deepEqual(reports, [{ progress: 1, total: 2, message: 'half' }]);
    });

    it('aborts a call that the client cancels', async (t) => {
      const { promise: begun, resolve: begin } = Promise.withResolvers<AbortSignal>();
      const runtime = runtimeOf({
        endless: (_name, _args, { signal }) => {
          begin(signal);
          return new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(new Error('aborted')));
          });
        },
      });
      const { endpoint } = await serveTools(t, runtime);
      const { client } = await connect(t, endpoint, { modern });
      const abort = new AbortController();
      const call = client.callTool({ name: 'endless' }, { signal: abort.signal });
      const signal = await begun;
      const aborted = once(signal, 'abort');
      abort.abort();
      await assert.rejects(call);
      await aborted;
    });

    it('answers a tool that fails with a tool error', async (t) => {
      const runtime = runtimeOf({
        broken: () => {
          throw new Error('secret');
        },
        strange: () => ({ content: [{ type: 'smell' }] }),
      });
      const { endpoint } = await serveTools(t, runtime);
      const { client } = await connect(t, endpoint, { modern });
      const broken = await client.callTool({ name: 'broken' });
      assert.deepEqual([broken.isError, broken.content], [true, [text('The tool "broken" failed')]]);
      const strange = await client.callTool({ name: 'strange' });
      assert.equal(strange.isError, true);
    });

    it('answers wrong arguments with a tool error that names the problem, and does not call the tool', async (t) => {
      const { endpoint } = await serveTools(t, {
        listTools: () => [ADD],
        callTool: () => assert.fail('called'),
      });
      const { client } = await connect(t, endpoint, { modern });
      const { isError, content } = await client.callTool({ name: 'add', arguments: { a: 'two', c: 1 } });
      assert.equal(isError, true);
      assert.deepEqual(content, [
        text(
          `Invalid arguments for the tool "add": the arguments must have required property 'b'; ` +
            'the arguments must not have "c"; "a" must be number',
        ),
      ]);
    });
  });
}

describe('/mcp', () => {
  it('tells clients with a subscription that the list of tools has changed', async (t) => {
    const { endpoint, mcp } = await serveTools(t, runtimeOf({ a: () => 'a' }));
    const { client } = await connect(t, endpoint, { modern: true });
    const { promise: told, resolve } = Promise.withResolvers<void>();
    client.setNotificationHandler('notifications/tools/list_changed', () => resolve());
    await client.listen({ toolsListChanged: true });
    mcp.toolsChanged();
    await told;
    await mcp.close();
  });

  it('tells clients with a session that the list of tools has changed', async (t) => {
    const { endpoint, mcp } = await serveTools(t, runtimeOf({ a: () => 'a' }));
    const { client } = await connect(t, endpoint);
    const { promise: told, resolve } = Promise.withResolvers<void>();
    client.setNotificationHandler('notifications/tools/list_changed', () => resolve());
    // The client opens its stream for notifications by itself, some time after the handshake.
    const timer = setInterval(() => mcp.toolsChanged(), 20);
    t.after(() => clearInterval(timer));
    await told;
  });

  it('answers a request without credentials in JSON-RPC, with status 401', async (t) => {
    const { endpoint } = await serveTools(t, null, { identities: {} });
    const answer = await rpc(endpoint, INITIALIZE);
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get('www-authenticate'), 'Bearer');
    const { jsonrpc, id, error } = (await answer.json()) as Record<string, { code: number; data: unknown }>;
    assert.deepEqual([jsonrpc, id, error?.code], ['2.0', null, -32000]);
    assert.deepEqual(error?.data, {
      message: 'Who are you?',
      type: 'authentication_error',
      param: null,
      code: 'authentication_error',
    });
  });

  it('refuses a body that is larger than the limit', async (t) => {
    const { endpoint } = await serveTools(t, null);
    const answer = await rpc(endpoint, JSON.stringify({ padding: 'x'.repeat(70_000) }));
    assert.equal(answer.status, 413);
    const { error } = (await answer.json()) as { error: { data: { code: string } } };
    assert.equal(error.data.code, 'body_too_large');
  });

  it('answers what is no JSON, and what is no JSON-RPC, with an error of JSON-RPC', async (t) => {
    const { endpoint } = await serveTools(t, null);
    for (const body of ['{', '{}', '[]']) {
      const answer = await rpc(endpoint, body);
      assert.equal(answer.status, 400, body);
      assert.equal(((await answer.json()) as { jsonrpc: string }).jsonrpc, '2.0', body);
    }
  });

  it('refuses other methods and media types', async (t) => {
    const { endpoint } = await serveTools(t, null);
    assert.equal((await fetch(endpoint, { method: 'PUT', body: '{}' })).status, 405);
    assert.equal((await rpc(endpoint, INITIALIZE, { 'content-type': 'text/plain' })).status, 415);
    assert.equal((await rpc(endpoint, INITIALIZE, { accept: 'text/html' })).status, 406);
  });

  it('lets a running call finish when it is closed, and ends the streams for notifications', async (t) => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: wait, resolve: finish } = Promise.withResolvers<string>();
    const runtime = runtimeOf({
      slow: () => {
        begin();
        return wait;
      },
    });
    const { endpoint, mcp, http } = await serveTools(t, runtime);
    const { client } = await connect(t, endpoint);
    const call = client.callTool({ name: 'slow' });
    await begun;
    const opened = await rpc(endpoint, INITIALIZE);
    const session = opened.headers.get('mcp-session-id') ?? assert.fail('no session');
    await opened.text();
    const headers = { accept: 'text/event-stream', 'mcp-session-id': session };
    const listening = await fetch(endpoint, { headers });
    const closed = mcp.close();
    const drained = http.drain(20_000);
    assert.equal(await listening.text(), '');
    finish('finished');
    assert.deepEqual((await call).content, [text('finished')]);
    await closed;
    assert.deepEqual(await drained, { cut: 0 });
  });
});

function text(value: string): { type: 'text'; text: string } {
  return { type: 'text', text: value };
}
