import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { LLMock } from '@copilotkit/aimock';
import { OpenAIEmbeddings } from '@langchain/openai';
import { embed } from 'ai';
import OpenAI from 'openai';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { CLIENT_KEY } from './client.ts';

const TEXT = 'one';
const VECTOR = [0.25, -0.5, 0.125];
const PROVIDERS = join(import.meta.dirname, '../../plugins/providers-ai-sdk');

/** Natively, and through the AI SDK. */
const MODELS = ['mock-openai', 'mock-google'] as const;

type Embed = (baseURL: string, model: string) => Promise<readonly number[] | undefined>;

const CLIENTS: Readonly<Record<string, Embed>> = {
  async openai(baseURL, model) {
    const client = new OpenAI({ baseURL, apiKey: CLIENT_KEY, maxRetries: 0 });
    // The mock answers with numbers whatever is asked for, and the client's default is base64.
    const body = { model, input: TEXT, encoding_format: 'float' } as const;
    return (await client.embeddings.create(body)).data[0]?.embedding;
  },
  async '@ai-sdk/openai'(baseURL, model) {
    const provider = createOpenAI({ baseURL, apiKey: CLIENT_KEY });
    return (await embed({ model: provider.embedding(model), value: TEXT, maxRetries: 0 })).embedding;
  },
  '@langchain/openai'(baseURL, model) {
    const configuration = { baseURL };
    return new OpenAIEmbeddings({ model, apiKey: CLIENT_KEY, maxRetries: 0, configuration }).embedQuery(TEXT);
  },
};

describe('outside clients that embed', () => {
  const undo: (() => unknown)[] = [];
  let gateway: GatewayProcess;

  before(async () => {
    const mock = new LLMock({ port: 0, host: '127.0.0.1', logLevel: 'silent' });
    mock.onEmbedding(/./, { embedding: VECTOR });
    await mock.start();
    undo.push(() => mock.stop());
    gateway = await startGateway(
      { after: (fn) => void undo.push(fn) },
      { files: { 'gateway.yaml': configFor(mock.url) }, env: { LLMROUTER_PLUGINS: PROVIDERS } },
    );
  });
  after(async () => {
    for (const fn of undo.reverse()) await fn();
  });

  for (const [name, vectorOf] of Object.entries(CLIENTS)) {
    for (const model of MODELS) {
      it(`${name} → ${model}`, async () => {
        assert.deepEqual(await vectorOf(`${gateway.url}/v1`, model), VECTOR);
      });
    }
  }
});

function configFor(url: string): string {
  return `model_list:
  - model_name: mock-openai
    litellm_params: { model: openai/text-embedding-3-small, api_key: k, api_base: '${url}/v1' }
  - model_name: mock-google
    litellm_params: { model: google/gemini-embedding-001, api_key: k, api_base: '${url}/v1beta' }
router_settings: { num_retries: 0, allowed_fails: 1000 }
`;
}
