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
    const { hostname, port } = new URL(gateway.url);
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

    const refused = connect(Number(port), hostname);
    await assert.rejects(once(refused, 'connect'), { code: 'ECONNREFUSED' });
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

  test('while plugins start, /readyz is 503 and plugins serve nothing; /healthz is 200', async (t) => {
    const gateway = spawnGateway(t, {
      files: {
        'plugins/slow.mjs': tracing(
          { name: 'slow', capabilities: ['ROUTES'] },
          `app.get('/slow', (req, res) => { res.json({}); });
           await new Promise((resolve) => process.once('SIGUSR2', resolve));`,
        ),
      },
    });
    const { port } = await gateway.logged(({ event }) => event === 'listening');
    const statuses = async (): Promise<number[]> => {
      const answers = await Promise.all(
        ['/healthz', '/readyz', '/slow', '/v1/models'].map((path) =>
          fetch(`http://127.0.0.1:${port}${path}`),
        ),
      );
      return answers.map(({ status }) => status);
    };
    await gateway.logged(({ plugin, to }) => plugin === 'slow' && to === 'loaded');
    assert.deepEqual(await statuses(), [200, 503, 503, 503]);
    gateway.kill('SIGUSR2');
    await gateway.logged(({ event }) => event === 'ready');
    assert.deepEqual(await statuses(), [200, 200, 200, 200]);
  });
});
