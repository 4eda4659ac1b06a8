import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';

const PLUGIN = `
export default {
  metadata: { name: 'keys', version: '1.0.0', capabilities: ['AUTH_PROVIDER', 'MIDDLEWARE', 'OBSERVABILITY_EXPORTER'] },
  startup(app, { logger }) {
    app.authProvider({ name: 'keys', authenticate: async () => { await new Promise(setImmediate); return { id: 'team' }; } });
    app.use((req, res, next) => { for (const until = performance.now() + 3; performance.now() < until;); next(); });
    app.exporter({ name: 'log', export: (batch) => { for (const { plugins } of batch) logger.info('record', { plugins }); } });
  },
};`;

test('the steps of Server-Timing add up to the overhead, and name what each plugin took', async (t) => {
  const gateway = await startGateway(t, {
    env: { LLMROUTER_DEBUG: 'true' },
    files: { 'plugins/keys.mjs': PLUGIN },
  });
  for (let n = 0; n < 5; n++) await ask(gateway.url);
  const { headers } = await ask(gateway.url);
  const timing = parse(headers.get('server-timing') ?? '');
  const steps = timing.filter(({ name }) => !['gateway', 'wait', 'plugin'].includes(name));
  assert.deepEqual(
    steps.map(({ name }) => name),
    ['guard', 'auth', 'middleware', 'body', 'hooks', 'route', 'answer'],
  );
  const sum = steps.reduce((total, { ms }) => total + ms, 0);
  const overhead = Number(headers.get('x-llmrouter-overhead-ms'));
  // The overhead is read when the call's headers are made, the last step when the head is written.
  assert.ok(
    Math.abs(sum - overhead) <= Math.max(overhead * 0.1, 0.2),
    `${sum} ms of steps, ${overhead} ms overhead`,
  );
  const plugins = timing.filter(({ name }) => name === 'plugin').map(({ about }) => about);
  assert.deepEqual(plugins.sort(), ['keys auth', 'keys middleware']);
});

test('exporters are told what each plugin took of a call', async (t) => {
  const gateway = await startGateway(t, { files: { 'plugins/keys.mjs': PLUGIN } });
  const { headers } = await ask(gateway.url);
  assert.equal(headers.get('server-timing'), null);
  const line = await gateway.logged(({ message }) => message === 'record');
  const plugins = line.plugins as { plugin: string; phase: string; ms: number }[];
  assert.deepEqual(plugins.map(({ plugin, phase }) => `${plugin} ${phase}`).sort(), [
    'keys auth',
    'keys middleware',
  ]);
  assert.ok(plugins.every(({ ms }) => ms > 0));
});

async function ask(url: string): Promise<Response> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'hi' }] }),
  });
  assert.equal(response.status, 200);
  await response.arrayBuffer();
  return response;
}

function parse(header: string): { name: string; about: string; ms: number }[] {
  return header.split(', ').map((entry) => {
    const [, name = '', about = '', ms = ''] =
      /^([a-z]+)(?:;desc="([^"]*)")?;dur=([\d.]+)$/.exec(entry) ?? [];
    return { name, about, ms: Number(ms) };
  });
}
