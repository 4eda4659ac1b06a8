import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { LLMock } from '@copilotkit/aimock';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { aiSdkClients } from './ai-sdk.ts';
import { anthropicClients } from './anthropic.ts';
import { CLIENT_KEY, type Client, type Clients, type Dialect } from './client.ts';
import { langchainClients } from './langchain.ts';
import { openaiClients } from './openai.ts';

const LIBRARIES: readonly Clients[] = [openaiClients, anthropicClients, aiSdkClients, langchainClients];

const HELLO = 'Hello from an upstream that nobody here wrote, in as many pieces as it likes';
const SUNNY = 'It is sunny in Paris';
const USAGE = { input: 9, output: 16 };
/** Each API takes the names that it knows. */
const COUNTED = { prompt_tokens: 9, completion_tokens: 16, input_tokens: 9, output_tokens: 16 };
const KEY_OF_UPSTREAM = 'key-of-the-upstream';

/** The upstreams, and the dialects whose clients they serve. */
const MODELS: Readonly<Record<string, readonly Dialect[]>> = {
  'mock-openai': ['chat', 'responses'],
  'mock-anthropic': ['messages'],
};

describe('outside clients against an outside upstream', { concurrency: false }, () => {
  const undo: (() => unknown)[] = [];
  let mock: LLMock;
  let gateway: GatewayProcess;

  before(async () => {
    mock = await startMock();
    undo.push(() => mock.stop());
    const files = { 'gateway.yaml': configFor(mock.url) };
    gateway = await startGateway({ after: (fn) => void undo.push(fn) }, { files });
  });
  after(async () => {
    for (const fn of undo.reverse()) await fn();
  });

  for (const [library, clientsAt] of LIBRARIES.entries()) {
    for (const [index, { name, dialect }] of clientsAt('http://127.0.0.1:1').entries()) {
      const clientOf = (): Client => {
        const client = LIBRARIES[library]?.(gateway.url)[index];
        assert.ok(client);
        return client;
      };
      const models = Object.keys(MODELS).filter((model) => MODELS[model]?.includes(dialect));
      for (const model of models) describe(`${name} → ${model}`, () => testClient(clientOf, model));
    }
  }

  it('never sees the key of a client, always its own', () => {
    const seen = JSON.stringify(mock.getRequests().map(({ headers }) => headers));
    assert.ok(mock.getRequests().length > 0);
    assert.ok(!seen.includes(CLIENT_KEY));
    assert.ok(seen.includes(KEY_OF_UPSTREAM) || seen.includes('[REDACTED]'));
  });
});

function testClient(client: () => Client, model: string): void {
  it('gets an answer as JSON, with its usage', async () => {
    const { text, usage } = await client().ask(model, 'Say hello');
    assert.deepEqual([text, usage], [HELLO, USAGE]);
  });

  it('gets an answer as a stream, in pieces, with its usage', async () => {
    const { text, pieces, usage } = await client().stream(model, 'Say hello');
    assert.deepEqual([text, usage.input], [HELLO, USAGE.input]);
    assert.ok(pieces > 1, `${pieces} pieces`);
    // LangChain adds what the last event of a message counts to what the first one has counted.
    assert.ok(usage.output >= USAGE.output, JSON.stringify(usage));
  });

  it('uses a tool, as JSON', async () => {
    const turn = await client().useTool(model, 'What is the weather?', 'sunny');
    assert.deepEqual(turn, { name: 'get_weather', input: { city: 'Paris' }, text: SUNNY });
  });

  it('uses a tool, streamed', async () => {
    const turn = await client().useToolStreamed(model, 'What is the weather?', 'sunny');
    assert.deepEqual(turn, { name: 'get_weather', input: { city: 'Paris' }, text: SUNNY });
  });

  it('does not take a stream that breaks off for an answer', async () => {
    await assert.rejects(client().stream(model, 'Break off'));
  });

  it('throws its own error for a model that is not there', async () => {
    await assert.rejects(client().ask('nope', 'Say hello'), (error) => statusOf(error) === 404);
  });
}

/** Every client calls it otherwise, and some wrap the error that had it. */
function statusOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  return status ?? statusCode ?? statusOf(error.cause);
}

async function startMock(): Promise<LLMock> {
  const auth = { apiKeys: [KEY_OF_UPSTREAM] };
  const mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: 8, logLevel: 'silent', auth });
  mock.onMessage('Say hello', { content: HELLO, usage: COUNTED });
  mock.onMessage('Break off', { content: HELLO }, { truncateAfterChunks: 4 });
  mock.on({ userMessage: 'weather', hasToolResult: true }, { content: SUNNY });
  mock.on(
    { userMessage: 'weather', hasToolResult: false },
    { toolCalls: [{ name: 'get_weather', arguments: '{"city":"Paris"}' }] },
  );
  await mock.start();
  return mock;
}

function configFor(url: string): string {
  return `model_list:
  - model_name: mock-openai
    litellm_params: { model: openai/gpt-4o, api_key: ${KEY_OF_UPSTREAM}, api_base: '${url}/v1' }
  - model_name: mock-anthropic
    litellm_params: { model: anthropic/claude-sonnet-4-5, api_key: ${KEY_OF_UPSTREAM}, api_base: '${url}' }
router_settings: { num_retries: 0, allowed_fails: 1000 }
`;
}
