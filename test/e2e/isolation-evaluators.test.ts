import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cleanup, type GatewayProcess, startGateway } from '../support/gateway-process.ts';

/** Four evaluators, told by the text what to do; `GET /asked` says who was asked, and what is asked of the plugin. */
const JUDGES = `
const asked = [];
export default {
  metadata: { name: 'judges', version: '1.0.0', capabilities: ['EVALUATOR', 'ROUTES'], failOpen: FAIL_OPEN },
  startup(app) {
    app.get('/asked', (_req, res) => { res.json(asked.splice(0)); });
    for (const name of ['a', 'b', 'c', 'd'])
      app.evaluator({ name, mode: 'block', async input({ text }) {
        asked.push(name);
        if (text.includes(name + ' waits')) await new Promise((resolve) => setTimeout(resolve, 20));
        if (text.includes(name + ' hangs')) await new Promise(() => {});
        if (text.includes(name + ' blocks')) return { action: 'block', message: 'by ' + name };
        if (text.includes(name + ' throws')) throw new Error('broken');
        if (text.includes(name + ' mumbles')) return { action: 'perhaps' };
        const at = text.indexOf('secret-' + name);
        return at < 0 ? undefined : { action: 'mask', spans: [{ start: at, end: at + 8 }] };
      } });
  },
};`;

const TEXTS = [
  'nothing',
  'secret-a and secret-b and secret-d',
  'secret-a, b waits, secret-c',
  'b blocks, c blocks',
  'b throws, c blocks',
  'a throws, c throws, secret-b, secret-d',
  'b mumbles, secret-a, c blocks',
  'secret-a, b hangs, secret-c',
];

for (const failOpen of [false, true])
  test(`evaluators of one plugin that fails ${failOpen ? 'open' : 'closed'} judge alike in both tiers, and nobody is asked in one of them alone`, async (t) => {
    const [inline, isolated] = await Promise.all([
      start(t, 'inline', failOpen),
      start(t, 'process', failOpen),
    ]);
    for (const text of TEXTS)
      assert.deepEqual(await judge(isolated, text), await judge(inline, text), `text: ${text}`);
  });

function start(t: Cleanup, tier: string, failOpen: boolean): Promise<GatewayProcess> {
  return startGateway(t, {
    files: { 'plugins/judges/index.mjs': JUDGES.replace('FAIL_OPEN', String(failOpen)) },
    env: {
      LLMROUTER_PLUGINS_ISOLATION: tier,
      LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '1500',
      LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1000',
    },
  });
}

async function judge({ url }: GatewayProcess, text: string): Promise<unknown> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: text }] }),
  });
  const { choices, error } = (await response.json()) as {
    choices?: { message: unknown }[];
    error?: { code: string; message: string };
  };
  const asked: unknown = await (await fetch(`${url}/asked`)).json();
  return {
    status: response.status,
    code: error?.code,
    says: error?.message,
    answer: choices?.[0]?.message,
    asked,
  };
}
