import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import type { Client } from '@modelcontextprotocol/client';
import { WITH_ADMIN } from '../../../test/e2e/support.ts';
import { connect } from '../../../test/mcp/support.ts';
import {
  type GatewayProcess,
  spawnGateway,
  startGateway,
  tempDir,
} from '../../../test/support/gateway-process.ts';

const PLUGIN = join(import.meta.dirname, '..');
const EVERYTHING = join(
  import.meta.dirname,
  '../../../node_modules/@modelcontextprotocol/server-everything/dist/index.js',
);
const STDIO = { command: process.execPath, args: [EVERYTHING, 'stdio'] };

/** A program that has these tools. */
function named(...tools: readonly string[]): { command: string; args: string[] } {
  return {
    command: process.execPath,
    args: [join(import.meta.dirname, 'fixtures/named-tools.js'), ...tools],
  };
}

interface Served {
  readonly gateway: GatewayProcess;
  readonly client: Client;
  /** Names of the tools that `/mcp` lists. */
  names(): Promise<string[]>;
  /** Resolves when `/mcp` lists tools of which `test` holds. */
  until(test: (names: readonly string[]) => boolean): Promise<void>;
  /** Text of a call's answer, and whether it is an error. */
  call(name: string, args?: Record<string, unknown>): Promise<readonly [string, boolean]>;
}

function environment(settings: Record<string, unknown>): Record<string, string> {
  return {
    ...WITH_ADMIN,
    LLMROUTER_PLUGINS: PLUGIN,
    LLMROUTER_PLUGIN_MCP_SERVERS__SERVERS: JSON.stringify(settings),
    LLMROUTER_PLUGIN_MCP_SERVERS__REFRESH_MS: '100',
  };
}

async function serve(t: TestContext, settings: Record<string, unknown>): Promise<Served> {
  const gateway = await startGateway(t, { env: environment(settings) });
  const { client } = await connect(t, `${gateway.url}/mcp`, { modern: true });
  let changed = Promise.withResolvers<void>();
  client.setNotificationHandler('notifications/tools/list_changed', () => {
    changed.resolve();
    changed = Promise.withResolvers();
  });
  await client.listen({ toolsListChanged: true });
  const names = async (): Promise<string[]> => (await client.listTools()).tools.map(({ name }) => name);
  return {
    gateway,
    client,
    names,
    async until(test) {
      for (;;) {
        const { promise } = changed;
        if (test(await names())) return;
        await promise;
      }
    },
    async call(name, args = {}) {
      const { content, isError = false } = await client.callTool({ name, arguments: args });
      const [first] = content;
      return [first?.type === 'text' ? first.text : '', isError];
    },
  };
}

async function health({ url }: GatewayProcess): Promise<string> {
  const { plugins } = (await (await fetch(`${url}/readyz`)).json()) as {
    plugins: Record<string, { health: string }>;
  };
  return plugins['mcp-servers']?.health ?? '';
}

/** A server over HTTP on a free port, or on the port of one that has gone. */
async function startHttp(
  t: TestContext,
  port = 0,
): Promise<{ port: number; url: string; process: ChildProcess }> {
  const taken = port === 0 ? await freePort() : port;
  const child = spawn(process.execPath, [EVERYTHING, 'streamableHttp'], {
    env: { PATH: process.env.PATH, PORT: String(taken) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stderr })) if (line.includes('listening')) break;
  child.stderr.resume();
  return { port: taken, url: `http://127.0.0.1:${taken}/mcp`, process: child };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe('mcp-servers', () => {
  it('offers the tools of a program, with its name as their prefix', async (t) => {
    const { names, call } = await serve(t, { every: STDIO });
    const listed = await names();
    assert.ok(
      listed.includes('every__echo') && listed.every((name) => name.startsWith('every__')),
      String(listed),
    );
    assert.deepEqual(await call('every__echo', { message: 'hi' }), ['Echo: hi', false]);
    const [problem, isError] = await call('every__echo', { message: 7 });
    assert.deepEqual([isError, /"message" must be string/.test(problem)], [true, true]);
  });

  it('gives a program the environment of its settings and PATH, and nothing of the gateway', async (t) => {
    const { call } = await serve(t, { every: { ...STDIO, env: { TOKEN: 'secret' } } });
    const [text] = await call('every__get-env');
    const { PATH, TOKEN, ...others } = JSON.parse(text) as Record<string, string>;
    assert.deepEqual([PATH, TOKEN], [process.env.PATH, 'secret']);
    assert.deepEqual(others, {});
  });

  it('offers the tools of a server over HTTP, under another prefix, and only those that are allowed', async (t) => {
    const { url } = await startHttp(t);
    const { names, call } = await serve(t, {
      remote: { url, prefix: 'r-', allow_tools: ['echo', 'get-*'], deny_tools: ['get-e*'] },
    });
    const listed = await names();
    assert.ok(listed.includes('r-echo') && listed.includes('r-get-sum'), String(listed));
    assert.ok(
      listed.every((name) => name === 'r-echo' || name.startsWith('r-get-')),
      String(listed),
    );
    assert.ok(!listed.includes('r-get-env'));
    assert.deepEqual(await call('r-echo', { message: 'hi' }), ['Echo: hi', false]);
  });

  it('tells how far a call has come', async (t) => {
    const { client } = await serve(t, { every: STDIO });
    const seen: number[] = [];
    await client.callTool(
      { name: 'every__trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } },
      { onprogress: ({ progress }) => seen.push(progress) },
    );
    // The last report may be overtaken by the result, which ends the call.
    assert.deepEqual(seen.slice(0, 2), [1, 2]);
  });

  it('answers a call that takes too long with a tool error, and keeps the server', async (t) => {
    const { call } = await serve(t, { every: { ...STDIO, timeout_ms: 1000 } });
    const long = await call('every__trigger-long-running-operation', { duration: 30, steps: 1 });
    assert.deepEqual(long, ['The MCP server "every" did not answer within 1000 ms', true]);
    assert.deepEqual(await call('every__echo', { message: 'hi' }), ['Echo: hi', false]);
  });

  it('takes the tools of a program that dies out of the list, starts it again, and is no failing plugin', async (t) => {
    const dir = tempDir(t);
    const pid = join(dir, 'pid');
    const hold = join(dir, 'hold');
    const code = `
      const { existsSync, writeFileSync } = require('node:fs');
      if (existsSync(${JSON.stringify(hold)})) process.exit(1);
      writeFileSync(${JSON.stringify(pid)}, String(process.pid));
      import(${JSON.stringify(EVERYTHING)});`;
    const dying = { command: process.execPath, args: ['-e', code, '--', 'stdio'], allow_tools: ['echo'] };
    const { names, until, gateway } = await serve(t, { dying, every: { ...STDIO, allow_tools: ['echo'] } });
    assert.deepEqual(await names(), ['dying__echo', 'every__echo']);
    writeFileSync(hold, '');
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL');
    await until((listed) => listed.join() === 'every__echo');
    assert.equal(await health(gateway), 'degraded');
    rmSync(hold);
    await until((listed) => listed.join() === 'dying__echo,every__echo');
  });

  it('does the same for a server over HTTP', async (t) => {
    const first = await startHttp(t);
    const { names, until, call, gateway } = await serve(t, {
      remote: { url: first.url, allow_tools: ['echo'] },
    });
    assert.deepEqual(await names(), ['remote__echo']);
    first.process.kill('SIGKILL');
    await until((listed) => listed.length === 0);
    assert.equal(await health(gateway), 'unhealthy');
    await startHttp(t, first.port);
    await until((listed) => listed.length === 1);
    assert.deepEqual(await call('remote__echo', { message: 'back' }), ['Echo: back', false]);
    assert.equal(await health(gateway), 'ok');
  });

  it('starts without a server that is not there', async (t) => {
    const { gateway, names } = await serve(t, {
      gone: { command: '/no/such/program' },
      away: { url: `http://127.0.0.1:${await freePort()}/mcp` },
    });
    assert.deepEqual(await names(), []);
    assert.equal(await health(gateway), 'unhealthy');
    assert.ok(gateway.log.some(({ message }) => message === 'the MCP server "gone" is not connected'));
  });

  it('follows no redirect: it would carry credentials away', async (t) => {
    const targets: string[] = [];
    const thief = createServer((_req, res) => {
      targets.push('elsewhere');
      res.end();
    }).listen(0, '127.0.0.1');
    await once(thief, 'listening');
    const { port } = thief.address() as AddressInfo;
    const server = createServer(({ url = '' }, res) => {
      if (url === '/other') targets.push('the same server');
      const location = url === '/away' ? `http://127.0.0.1:${port}/` : '/other';
      res.writeHead(307, { location }).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      for (const each of [thief, server]) each.closeAllConnections();
      for (const each of [thief, server]) each.close();
    });
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const headers = { authorization: 'Bearer secret' };
    const { names } = await serve(t, {
      away: { url: `${base}/away`, headers },
      here: { url: `${base}/here`, headers },
    });
    assert.deepEqual(await names(), []);
    assert.deepEqual(targets, []);
  });

  it('does not offer a tool whose name another server has, and says so', async (t) => {
    const { gateway, names, call } = await serve(t, {
      a: { ...named('b-x'), prefix: '' },
      b: { ...named('x', 'y'), prefix: 'b-' },
    });
    assert.deepEqual(await names(), ['b-x', 'b-y']);
    assert.deepEqual(await call('b-x'), ['1 tools, b-x', false]);
    assert.equal(await health(gateway), 'degraded');
    const message =
      'a tool is not offered: "b-x" of the server "b", which "a" has too; give one of them another prefix';
    assert.ok(gateway.log.some((line) => line.message === message));
  });

  it('follows a server that changes its tools', async (t) => {
    const { until, call } = await serve(t, { s: named('x') });
    await call('s__x');
    await until((listed) => listed.join() === 's__x,s__x-again');
  });

  it('refuses two servers with one prefix', async (t) => {
    const env = environment({ a: { ...STDIO, prefix: 'x_' }, b: { ...STDIO, prefix: 'x_' } });
    const gateway = spawnGateway(t, { env: { ...env, LLMROUTER_PLUGINS_FAILURE_MODE: 'abort' } });
    assert.equal(await gateway.exited, 70);
    assert.match(gateway.stderr(), /the servers "a" and "b" have the same prefix "x_", expected two/);
  });

  it('refuses a server that is neither a program nor a URL, and shows no secret', async (t) => {
    const env = environment({ a: { headers: { authorization: 'Bearer sesame' }, url: 'ftp://x' } });
    const gateway = spawnGateway(t, { env: { ...env, LLMROUTER_PLUGINS_FAILURE_MODE: 'abort' } });
    assert.equal(await gateway.exited, 70);
    assert.match(gateway.stderr(), /mcp-servers/);
    assert.doesNotMatch(gateway.stderr(), /sesame/);
  });

  it('ends the programs when the gateway stops', async (t) => {
    const code = `fs.writeFileSync('pid', String(process.pid)); import(${JSON.stringify(EVERYTHING)});`;
    const { gateway, call } = await serve(t, {
      every: { command: process.execPath, args: ['-e', code, '--', 'stdio'] },
    });
    assert.deepEqual(await call('every__echo', { message: 'hi' }), ['Echo: hi', false]);
    const pid = Number(readFileSync(join(gateway.dir, 'pid'), 'utf8'));
    assert.ok(process.kill(pid, 0));
    assert.equal(await gateway.stop(), 0);
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });
});
