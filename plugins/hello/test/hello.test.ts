import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { startGateway } from '../../../test/support/gateway-process.ts';

const LLMROUTER_PLUGINS = join(import.meta.dirname, '..');

it('answers GET /hello with the greeting of its settings', async (t) => {
  const plain = await startGateway(t, { env: { LLMROUTER_PLUGINS } });
  const told = await startGateway(t, {
    env: { LLMROUTER_PLUGINS },
    files: { 'gateway.yaml': 'plugins: { hello: { greeting: Good morning } }' },
  });
  assert.deepEqual(await hello(plain.url), { message: 'Hello from my plugin!' });
  assert.deepEqual(await hello(told.url), { message: 'Good morning' });
});

async function hello(url: string): Promise<unknown> {
  const response = await fetch(`${url}/hello`);
  assert.equal(response.status, 200);
  return response.json();
}
