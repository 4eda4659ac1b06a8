import assert from 'node:assert/strict';
import { join } from 'node:path';
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
const WEATHER_TURN = { name: 'get_weather', input: { city: 'Paris' }, text: SUNNY };
const USAGE = { input: 9, output: 16 };
/** Each API takes the names that it knows. */
const COUNTED = { prompt_tokens: 9, completion_tokens: 16, input_tokens: 9, output_tokens: 16 };
const PROVIDERS = join(import.meta.dirname, '../../plugins/providers-ai-sdk');
const KEY_OF_UPSTREAM = 'key-of-the-upstream';

interface Upstream {
  readonly model: string;
  /** What it speaks itself; `null`: it is reached through the AI SDK. */
  readonly speaks: readonly Dialect[] | null;
  readonly streams: boolean;
}

/** Clients of every dialect reach all of them. */
const UPSTREAMS: readonly Upstream[] = [
  { model: 'mock-openai', speaks: ['chat', 'responses'], streams: true },
  { model: 'mock-anthropic', speaks: ['messages'], streams: true },
  { model: 'mock-google', speaks: null, streams: true },
  { model: 'mock-bedrock', speaks: null, streams: true },
  // The first text event of the mock's stream lacks the text that @ai-sdk/cohere asks for.
  { model: 'mock-cohere', speaks: null, streams: false },
];

describe('outside clients against an outside upstream', { concurrency: false }, () => {
  const undo: (() => unknown)[] = [];
  let mock: LLMock;
  let gateway: GatewayProcess;

  before(async () => {
    mock = await startMock();
    undo.push(() => mock.stop());
    gateway = await startGateway(
      { after: (fn) => void undo.push(fn) },
      { files: { 'gateway.yaml': configFor(mock.url) }, env: { LLMROUTER_PLUGINS: PROVIDERS } },
    );
  });
  after(async () => {
    for (const fn of undo.reverse()) await fn();
  });

  for (const [library, clientsAt] of LIBRARIES.entries()) {
    for (const [index, { name }] of clientsAt('http://127.0.0.1:1').entries()) {
      const clientOf = (): Client => {
        const client = LIBRARIES[library]?.(gateway.url)[index];
        assert.ok(client);
        return client;
      };
      for (const upstream of UPSTREAMS)
        describe(`${name} → ${upstream.model}`, () => testClient(clientOf, upstream));
    }
  }

  it('never sees the key of a client, always its own', () => {
    const seen = JSON.stringify(mock.getRequests().map(({ headers }) => headers));
    assert.ok(mock.getRequests().length > 0);
    assert.ok(!seen.includes(CLIENT_KEY));
    assert.ok(seen.includes(KEY_OF_UPSTREAM) || seen.includes('[REDACTED]'));
  });
});

function testClient(client: () => Client, { model, speaks, streams }: Upstream): void {
  it('gets an answer as JSON, with its usage', async () => {
    const { text, usage } = await client().ask(model, 'Say hello');
    assert.deepEqual([text, usage], [HELLO, USAGE]);
  });

  it('uses a tool, as JSON', async () => {
    const turn = await client().useTool(model, 'What is the weather?', 'sunny');
    assert.deepEqual(turn, WEATHER_TURN);
  });

  it('throws its own error for a model that is not there', async () => {
    await assert.rejects(client().ask('nope', 'Say hello'), (error) => statusOf(error) === 404);
  });

  if (!streams) return;

  it('gets an answer as a stream, in pieces, with its usage', async () => {
    const { dialect, countsPromptAtStart = false, stream } = client();
    const { text, pieces, usage } = await stream(model, 'Say hello');
    assert.equal(text, HELLO);
    assert.ok(pieces > 1, `${pieces} pieces`);
    if (!countsPromptAtStart || speaks?.includes(dialect)) assert.equal(usage.input, USAGE.input);
    // LangChain adds what the last event of a message counts to what the first one has counted.
    assert.ok(usage.output >= USAGE.output, JSON.stringify(usage));
  });

  it('uses a tool, streamed', async () => {
    const turn = await client().useToolStreamed(model, 'What is the weather?', 'sunny');
    assert.deepEqual(turn, WEATHER_TURN);
  });

  it('does not take a stream that breaks off for an answer', async () => {
    await assert.rejects(client().stream(model, 'Break off'));
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
  - model_name: mock-google
    litellm_params: { model: google/gemini-2.5-flash, api_key: ${KEY_OF_UPSTREAM}, api_base: '${url}/v1beta' }
  - model_name: mock-cohere
    litellm_params: { model: cohere/command-a, api_key: ${KEY_OF_UPSTREAM}, api_base: '${url}/v2' }
  - model_name: mock-bedrock
    litellm_params: { model: bedrock/amazon.nova-lite-v1:0, api_key: ${KEY_OF_UPSTREAM}, api_base: '${url}' }
router_settings: { num_retries: 0, allowed_fails: 1000 }
`;
}
