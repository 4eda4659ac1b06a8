import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { admin, chat, pluginFile, readTrace, tracing, transitionOf, WITH_ADMIN } from './support.ts';

const PID = pluginFile({
  metadata: { name: 'pid', capabilities: ['ROUTES'] },
  startup(app, { logger }) {
    logger.info('up', { pid: process.pid });
    app.get('/pid', (_req, res) => void res.json(process.pid));
  },
});

describe('LLMROUTER_WORKERS', { concurrency: 2 }, () => {
  test('two processes serve one port; one that is killed is replaced; SIGTERM ends all with 0', async (t) => {
    const gateway = await startGateway(t, {
      env: { LLMROUTER_WORKERS: '2' },
      files: { 'plugins/pid.mjs': PID, 'plugins/trace.mjs': tracing({ name: 'trace' }) },
    });
    const nthUp = (n: number): Promise<unknown> => {
      let seen = 0;
      return gateway.logged(({ event }) => event === 'ready' && ++seen === n);
    };
    await nthUp(2);
    const ports = gateway.log.filter(({ event }) => event === 'ready').map(({ port }) => port);
    assert.equal(new Set(ports).size, 1, 'one port, also with PORT=0');
    const askWho = async (): Promise<number> => {
      // A connection of its own each: the processes share connections, not requests.
      const answer = await fetch(`${gateway.url}/pid`, { headers: { connection: 'close' } });
      return (await answer.json()) as number;
    };
    const whoServes = async (): Promise<Set<number>> => {
      const pids = new Set<number>();
      for (let i = 0; i < 20; i++) pids.add(await askWho());
      return pids;
    };
    const before = await whoServes();
    assert.equal(before.size, 2);
    assert.equal(before.has(gateway.pid), false);

    const [victim = 0] = before;
    process.kill(victim, 'SIGKILL');
    const died = await gateway.logged(({ event }) => event === 'worker_died');
    assert.deepEqual([died.pid, died.signal], [victim, 'SIGKILL']);
    assert.equal((await chat(gateway)).status, 200, 'the other one goes on');
    await nthUp(3);
    const after = await whoServes();
    assert.equal(after.size, 2);
    assert.equal(after.has(victim), false);

    assert.equal(await gateway.stop(), 0);
    assert.deepEqual(readTrace(gateway).toSorted(), ['+trace', '+trace', '+trace', '-trace', '-trace']);
    for (const pid of after) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  test('what an operator does to a plugin holds in all processes', async (t) => {
    const gateway = await startGateway(t, {
      env: { ...WITH_ADMIN, LLMROUTER_WORKERS: '2' },
      files: { 'plugins/pid.mjs': PID },
    });
    const moved = async (to: string, times: number): Promise<void> => {
      let seen = 0;
      await gateway.logged((line) => transitionOf('pid', to)(line) && ++seen === times);
    };
    const statuses = (): Promise<number[]> => {
      const ask = async (): Promise<number> => {
        return (await fetch(`${gateway.url}/pid`, { headers: { connection: 'close' } })).status;
      };
      return Promise.all(Array.from({ length: 12 }, ask));
    };
    await moved('started', 2);
    assert.equal((await admin(gateway, '/plugins/pid/quarantine', { method: 'POST' })).status, 200);
    await moved('quarantined', 2);
    assert.deepEqual([...new Set(await statuses())], [503]);
    assert.equal((await admin(gateway, '/plugins/pid/release', { method: 'POST' })).status, 200);
    await moved('started', 4);
    assert.deepEqual([...new Set(await statuses())], [200]);
  });

  test('what is wrong with the configuration, the port or a plugin is told once', async (t) => {
    const env = { LLMROUTER_WORKERS: '2' };
    const bad = spawnGateway(t, { env: { ...env, LLMROUTER_PLUGINS_FAILURE_MODE: 'explode' } });
    assert.equal(await bad.exited, 78);
    assert.match(bad.stderr(), /^routeiq: LLMROUTER_PLUGINS_FAILURE_MODE.*\n$/);

    const server = createServer().listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const taken = spawnGateway(t, { env: { ...env, PORT: String(port) } });
    assert.equal(await taken.exited, 78);
    assert.match(taken.stderr(), /^routeiq: PORT: .*\n$/);

    const cycle = spawnGateway(t, {
      env,
      files: { 'plugins/a.mjs': tracing({ name: 'a', dependsOn: ['b'] }) },
    });
    assert.equal(await cycle.exited, 78);
    assert.match(cycle.stderr(), /^routeiq: .*"a".*"b".*\n$/);

    const files = {
      'plugins/a.mjs': tracing({ name: 'a', failureMode: 'abort' }, 'throw new Error("no luck");'),
    };
    const aborted = spawnGateway(t, { env, files });
    assert.equal(await aborted.exited, 70);
    assert.match(aborted.stderr(), /^routeiq: .*no luck.*\n$/);
  });
});
