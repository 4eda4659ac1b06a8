import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';

/** Nobody listens there: what comes so far has passed the guards. */
const MODELS = `model_list:
  - model_name: m
    litellm_params: { model: openai/m, api_base: 'http://127.0.0.1:9/v1', api_key: k }
router_settings: { num_retries: 0 }
`;

const plugin = (side: string, metadata = ''): string => `export default {
  metadata: { name: 'guard', version: '1.0.0', capabilities: ['EVALUATOR'], ${metadata} },
  startup(app) { app.evaluator({ name: 'pii', mode: 'block', ${side}: () => undefined }); },
};`;

async function statuses(gateway: GatewayProcess): Promise<Record<string, number>> {
  const form = new FormData();
  form.set('model', 'm');
  form.set('file', new Blob(['sound']), 'a.mp3');
  const json = { headers: { 'content-type': 'application/json' }, body: '{"model":"m"}' };
  const requests = { embeddings: json, 'audio/speech': json, 'audio/transcriptions': { body: form } };
  const found: Record<string, number> = {};
  for (const [path, init] of Object.entries(requests)) {
    const response = await fetch(`${gateway.url}/v1/${path}`, { method: 'POST', ...init });
    await response.text();
    found[path] = response.status;
  }
  return found;
}

for (const [name, source, speech, transcriptions] of [
  ['an evaluator of answers closes what it cannot read', plugin('output'), 503, 503],
  ['an evaluator of requests closes forms alone', plugin('input'), 502, 503],
  ['an evaluator that fails open closes nothing', plugin('output', 'failOpen: true'), 502, 502],
] as const) {
  test(name, async (t) => {
    const gateway = await startGateway(t, {
      files: { 'gateway.yaml': MODELS, 'plugins/guard.js': source },
    });
    assert.deepEqual(await statuses(gateway), {
      embeddings: 502,
      'audio/speech': speech,
      'audio/transcriptions': transcriptions,
    });
    await gateway.stop();
  });
}
