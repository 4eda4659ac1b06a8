import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';
import { chat, inspectPlugin, WITH_ADMIN } from './support.ts';

const CLIENTS = 8;
/** Each waits when it is told to, says in the log that it does, and fails as `fetch` does when its signal is aborted. */
const WAITS = {
  hook: ['MIDDLEWARE', `app.llm({ onRequest: wait });`],
  evaluator: ['EVALUATOR', `app.evaluator({ name: 'waits', mode: 'block', input: wait });`],
} as const;

for (const [tier, kind] of [
  ['inline', 'hook'],
  ['inline', 'evaluator'],
  ['process', 'hook'],
  ['process', 'evaluator'],
] as const)
  test(`clients that hang up while a ${kind} looks at their requests do not count against it, ${tier}`, async (t) => {
    const [capability, startup] = WAITS[kind];
    const gateway = await startGateway(t, {
      files: {
        'plugins/waits/index.mjs': `export default {
          metadata: { name: 'waits', version: '1.0.0', capabilities: ['${capability}'], failClosed: true },
          startup(app, context) {
            const wait = async ({ text, signal }) => {
              if (!text.includes('wait')) return;
              context.logger.info('waiting');
              await new Promise((resolve) => signal.addEventListener('abort', resolve));
              context.logger.info('given up');
              signal.throwIfAborted();
            };
            ${startup}
          },
        };`,
      },
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS_ISOLATION: tier,
        LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '3',
      },
    });
    const client = new AbortController();
    const answers = Array.from({ length: CLIENTS }, () =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'wait' }] }),
        signal: client.signal,
      }),
    );
    const said = (text: string): number => gateway.log.filter(({ message }) => message === text).length;
    const hears = async (text: string): Promise<void> => {
      await gateway.logged(() => said(text) === CLIENTS);
    };
    await hears('waiting');
    client.abort();
    await Promise.allSettled(answers);
    await hears('given up');
    assert.equal((await chat(gateway)).status, 200);
    const { state, failures } = await inspectPlugin(gateway, 'waits');
    assert.deepEqual({ state, failures: failures.total }, { state: 'started', failures: 0 });
  });
