import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { DONE, delta, startUpstream, stream } from '../support/upstream.ts';
import { chat, readTrace, tracing } from './support.ts';

const MODEL = (url: string): string =>
  `model_list: [{ model_name: gpt, litellm_params: { model: openai/gpt-4o, api_key: k, api_base: '${url}' } }]`;

describe('shutdown', { concurrency: 2 }, () => {
  test('a running stream finishes, nobody new gets in, plugins stop in reverse after it, exit 0', async (t) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const upstream = await startUpstream(stream([delta('one'), delta('two'), DONE], () => released));
    t.after(() => upstream.close());
    const gateway = await startGateway(t, {
      files: {
        'gateway.yaml': MODEL(upstream.url),
        'plugins/a.mjs': tracing({ name: 'a' }),
        'plugins/b.mjs': tracing({ name: 'b', dependsOn: ['a'] }),
      },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const [kept] = (await once(get(`${gateway.url}/readyz`, { agent }), 'response')) as [IncomingMessage];
    assert.equal(kept.statusCode, 200);
    await text(kept);

    const answer = await chat(gateway, { model: 'gpt', stream: true });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    assert.match((await reader?.read())?.value ?? '', /one/);
    gateway.kill('SIGTERM');
    await gateway.logged(({ event }) => event === 'draining');

    await assert.rejects(fetch(`${gateway.url}/healthz`), 'no new connections');
    assert.deepEqual(readTrace(gateway), ['+a', '+b'], 'plugins serve until the last answer is out');
    release();
    let rest = '';
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read())
      rest += part.value;
    assert.match(rest, /two[\s\S]*data: \[DONE\]\n\n$/);
    assert.equal(await gateway.exited, 0);
    assert.deepEqual(readTrace(gateway), ['+a', '+b', '-b', '-a']);
  });

  test('what outlasts the drain is cut, and the exit code is 0 all the same', async (t) => {
    const upstream = await startUpstream(stream([delta('one'), DONE], () => new Promise(() => {})));
    t.after(() => upstream.close());
    const gateway = await startGateway(t, {
      env: { LLMROUTER_DRAIN_TIMEOUT_MS: '200' },
      files: { 'gateway.yaml': MODEL(upstream.url), 'plugins/a.mjs': tracing({ name: 'a' }) },
    });
    const answer = await chat(gateway, { model: 'gpt', stream: true });
    gateway.kill('SIGTERM');
    await assert.rejects(answer.text());
    assert.equal(await gateway.exited, 0);
    const cut = gateway.log.find(({ event }) => event === 'drain_cut');
    assert.equal(cut?.cut, 1);
    assert.deepEqual(readTrace(gateway), ['+a', '-a']);
  });

  describe('while plugins start', () => {
    const SLOW = tracing(
      { name: 'slow', capabilities: ['ROUTES'] },
      `app.get('/slow', (req, res) => { res.json({}); });
       const go = new Promise((resolve) => process.once('SIGUSR2', resolve));
       context.logger.info('starting');
       await go;`,
    );
    const statusesOf = (port: unknown, paths: readonly string[]): Promise<number>[] =>
      paths.map(async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).status);

    test('/healthz is 200 and /readyz 503; what is for plugins waits for them', async (t) => {
      const gateway = spawnGateway(t, { files: { 'plugins/slow.mjs': SLOW } });
      const { port } = await gateway.logged(({ event }) => event === 'listening');
      await gateway.logged(({ message }) => message === 'starting');
      const early = Promise.all(statusesOf(port, ['/slow', '/v1/models']));
      assert.deepEqual(await Promise.all(statusesOf(port, ['/healthz', '/readyz'])), [200, 503]);
      gateway.kill('SIGUSR2');
      assert.deepEqual(await early, [200, 200]);
      assert.deepEqual(await Promise.all(statusesOf(port, ['/healthz', '/readyz'])), [200, 200]);
    });

    test('a signal answers those who wait with 503', async (t) => {
      const gateway = spawnGateway(t, {
        files: { 'plugins/slow.mjs': SLOW },
      });
      const { port } = await gateway.logged(({ event }) => event === 'listening');
      await gateway.logged(({ message }) => message === 'starting');
      const waiting = connect(Number(port), '127.0.0.1');
      waiting.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
      // Answered after the request above has been read.
      assert.deepEqual(await Promise.all(statusesOf(port, ['/healthz'])), [200]);
      gateway.kill('SIGTERM');
      assert.match(await text(waiting), /^HTTP\/1\.1 503 /);
      assert.equal(await gateway.exited, 0);
    });
  });
});
