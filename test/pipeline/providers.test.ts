import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  EmbeddingModelV4,
  EmbeddingModelV4Result,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider';
import { Containment } from '../../src/containment/containment.ts';
import { compileProviders } from '../../src/pipeline/providers.ts';
import type { ProviderPhase } from '../../src/pipeline/types.ts';
import type { Provider, ProviderDeployment } from '../../src/plugin-api/provider.ts';
import { kinds } from '../containment/support.ts';
import {
  candidate,
  createGate,
  createMember,
  FAILURES,
  llmRequest,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

function providing(chat: () => unknown, options?: MemberOptions): TestMember {
  return createMember('a', (bag) => void bag.providers.set('upper', { chat } as Provider), options);
}

async function chat(member: TestMember): Promise<unknown> {
  const provider = compileProviders(new Containment(), [member]).get('upper');
  assert.ok(provider?.chat);
  return provider.chat(llmRequest(), DEPLOYMENT, null);
}

const DEPLOYMENT: ProviderDeployment = Object.freeze({
  ...candidate('upper/0'),
  apiBase: null,
  apiKey: null,
  headers: {},
});

async function* chunks(): AsyncGenerator<string> {
  yield 'data: [DONE]\n\n';
}

describe('a provider', () => {
  it('answers with text, bytes or a stream', async () => {
    for (const body of ['{}', new Uint8Array([123, 125]), chunks()]) {
      const answer = { status: 200, headers: {}, body };
      assert.equal(await chat(providing(async () => answer)), answer);
    }
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`that ${how} is an upstream that fails`, async () => {
      const bad = providing(fail, { callTimeoutMs: 10 });
      await assert.rejects(chat(bad), {
        code: kind === 'timeout' ? 'upstream_timeout' : 'upstream_error',
        message: 'The provider "upper" failed',
      });
      assert.deepEqual(kinds(bad.owner), [`provider ${kind}`]);
    });
  }

  for (const garbage of [
    undefined,
    null,
    'x',
    {},
    { status: '200', headers: {}, body: '' },
    { status: 199, headers: {}, body: '' },
    { status: 600, headers: {}, body: '' },
    { status: 200, headers: null, body: '' },
    { status: 200, headers: {}, body: {} },
    { status: 200, headers: {}, body: null },
  ]) {
    it(`that answers ${JSON.stringify(garbage)} is an upstream that fails`, async () => {
      const bad = providing(() => garbage);
      await assert.rejects(chat(bad), { code: 'upstream_error' });
      assert.deepEqual(kinds(bad.owner), ['provider invalid']);
    });
  }

  it('may refuse with a 4xx', async () => {
    const thrown = refusal(429);
    await assert.rejects(chat(providing(() => Promise.reject(thrown))), (error) => error === thrown);
  });

  it('of a quarantined plugin is an upstream that fails, unless a trial is due', async () => {
    await assert.rejects(chat(providing(() => assert.fail('asked'), { gate: createGate(false) })), {
      code: 'upstream_error',
    });
    for (const [answer, succeeded] of [
      [{ status: 200, headers: {}, body: '' }, true],
      ['garbage', false],
    ] as const) {
      const gate = createGate(true);
      await chat(providing(() => answer, { gate })).catch(() => undefined);
      assert.deepEqual(gate.trials, [succeeded]);
    }
  });
});

describe('a provider of language models', () => {
  it('has what it provides, and null for the rest', () => {
    const chatOnly = compile(providing(async () => ({})));
    assert.deepEqual([chatOnly.languageModel, chatOnly.embeddingModel], [null, null]);
    assert.deepEqual(Object.keys(compile(modelling(() => languageModel()))), Object.keys(chatOnly));
    assert.equal(compile(modelling(() => languageModel())).chat, null);
  });

  it('is asked for the model and the deployment, and its model answers', async () => {
    const asked: unknown[] = [];
    const member = modelling((...values: unknown[]) => {
      asked.push(...values);
      return languageModel();
    });
    const model = await modelOf(member);
    assert.deepEqual(asked, ['echo', DEPLOYMENT]);
    assert.equal(await model.doGenerate(OPTIONS), GENERATED);
    assert.deepEqual(await partsOf((await model.doStream(OPTIONS)).stream), PARTS);
    assert.deepEqual(kinds(member.owner), []);
  });

  for (const wrong of [
    null,
    'gpt',
    { ...languageModel(), specificationVersion: 'v2' },
    { ...languageModel(), doStream: undefined },
  ]) {
    it(`that makes ${JSON.stringify(wrong)} is an upstream that fails`, async () => {
      const bad = modelling(() => wrong);
      await assert.rejects(modelOf(bad), { code: 'upstream_error' });
      assert.deepEqual(kinds(bad.owner), ['provider invalid']);
    });
  }

  for (const [how, fail, kind] of FAILURES) {
    it(`whose model ${how} is an upstream that fails`, async () => {
      const model = { ...languageModel(), doGenerate: fail, doStream: fail };
      const bad = modelling(() => model, { callTimeoutMs: 10 });
      const code = kind === 'timeout' ? 'upstream_timeout' : 'upstream_error';
      await assert.rejects(async () => (await modelOf(bad)).doGenerate(OPTIONS), { code });
      await assert.rejects(async () => (await modelOf(bad)).doStream(OPTIONS), { code });
      assert.deepEqual(kinds(bad.owner), [`provider ${kind}`, `provider ${kind}`]);
    });
  }

  it('whose stream has no first part in time is an upstream that hangs', async () => {
    const doStream = async () => ({ stream: new ReadableStream<never>() });
    const bad = modelling(() => ({ ...languageModel(), doStream }), { callTimeoutMs: 10 });
    await assert.rejects(async () => (await modelOf(bad)).doStream(OPTIONS), { code: 'upstream_timeout' });
  });

  for (const [method, garbage] of [
    ['doGenerate', undefined],
    ['doGenerate', { content: 'Hi', usage: {}, finishReason: {} }],
    ['doGenerate', { content: [], finishReason: {} }],
    ['doStream', {}],
    ['doStream', { stream: [] }],
  ] as const) {
    it(`whose ${method}() answers ${JSON.stringify(garbage)} is an upstream that fails`, async () => {
      const model = await modelOf(modelling(() => ({ ...languageModel(), [method]: async () => garbage })));
      await assert.rejects(async () => model[method](OPTIONS), { code: 'upstream_error' });
    });
  }

  it('passes on what the upstream has said, which is no failure of the plugin', async () => {
    const said = Object.assign(new Error('overloaded'), { name: 'AI_APICallError', statusCode: 500 });
    const model = { ...languageModel(), doGenerate: () => Promise.reject(said) };
    const gate = createGate(true);
    const member = modelling(() => model, { gate });
    await assert.rejects(
      async () => (await modelOf(member)).doGenerate(OPTIONS),
      (error) => error === said,
    );
    assert.deepEqual(kinds(member.owner), []);
    assert.deepEqual(gate.trials, [true, true]);
  });

  it('is not asked for more than its stream has room for, and hears when nobody reads on', async () => {
    let asked = 0;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const endless = new ReadableStream<LanguageModelV4StreamPart>(
      {
        pull: (controller) => void controller.enqueue({ type: 'raw', rawValue: asked++ }),
        cancel: resolve,
      },
      { highWaterMark: 0 },
    );
    const doStream = async () => ({ stream: endless });
    const { stream } = await (await modelOf(modelling(() => ({ ...languageModel(), doStream })))).doStream(
      OPTIONS,
    );
    assert.equal(asked, 1);
    await stream.cancel('enough');
    assert.equal(await promise, 'enough');
  });
});

describe('a provider of embedding models', () => {
  it('answers with one vector for each value', async () => {
    const model = await embeddingOf(async ({ values }) => ({
      embeddings: values.map(() => [1, 2]),
      warnings: [],
    }));
    assert.deepEqual((await model.doEmbed({ values: ['a', 'b'] })).embeddings, [
      [1, 2],
      [1, 2],
    ]);
  });

  for (const embeddings of [undefined, [], [[1], [2], [3]], [[1], 'x'], [[1], ['x']]]) {
    it(`that answers two values with ${JSON.stringify(embeddings)} fails`, async () => {
      const model = await embeddingOf(async () => ({ embeddings, warnings: [] }) as EmbeddingModelV4Result);
      await assert.rejects(async () => model.doEmbed({ values: ['a', 'b'] }), { code: 'upstream_error' });
    });
  }
});

const OPTIONS: LanguageModelV4CallOptions = { prompt: [] };
const USAGE = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};
const GENERATED: LanguageModelV4GenerateResult = {
  content: [{ type: 'text', text: 'Hi' }],
  finishReason: { unified: 'stop', raw: 'stop' },
  usage: USAGE,
  warnings: [],
};
const PARTS: LanguageModelV4StreamPart[] = [
  { type: 'stream-start', warnings: [] },
  { type: 'text-delta', id: '0', delta: 'Hi' },
  { type: 'finish', usage: USAGE, finishReason: { unified: 'stop', raw: 'stop' } },
];

function languageModel(): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'test',
    modelId: 'm',
    supportedUrls: {},
    doGenerate: async () => GENERATED,
    doStream: async () => ({ stream: ReadableStream.from(PARTS) }),
  };
}

function modelling(make: (...values: unknown[]) => unknown, options?: MemberOptions): TestMember {
  return createMember(
    'a',
    (bag) => void bag.providers.set('upper', { languageModel: make } as Provider),
    options,
  );
}

function compile(member: TestMember): ProviderPhase {
  const provider = compileProviders(new Containment(), [member]).get('upper');
  assert.ok(provider);
  return provider;
}

async function modelOf(member: TestMember): Promise<LanguageModelV4> {
  const { languageModel: make } = compile(member);
  assert.ok(make);
  return make(DEPLOYMENT, null);
}

async function embeddingOf(doEmbed: EmbeddingModelV4['doEmbed']): Promise<EmbeddingModelV4> {
  const model: EmbeddingModelV4 = {
    specificationVersion: 'v4',
    provider: 'test',
    modelId: 'm',
    maxEmbeddingsPerCall: 10,
    supportsParallelCalls: true,
    doEmbed,
  };
  const member = createMember('a', (bag) => void bag.providers.set('upper', { embeddingModel: () => model }));
  const { embeddingModel } = compile(member);
  assert.ok(embeddingModel);
  return embeddingModel(DEPLOYMENT, null);
}

async function partsOf<T>(stream: ReadableStream<T>): Promise<T[]> {
  return Array.fromAsync(stream);
}
