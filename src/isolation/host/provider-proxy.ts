import { Readable } from 'node:stream';
import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
} from '@ai-sdk/provider';
import type { Provider, ProviderDeployment, ProviderResponse } from '../../plugin-api/provider.ts';
import type { Channel } from '../channel/channel.ts';
import { RubbishError } from '../channel/frames.ts';
import { fromRich, toRich } from '../channel/rich.ts';
import type { IncomingStream } from '../channel/streams.ts';
import type { CrossingDeployment, Description } from '../protocol.ts';
import type { Connect } from './http-proxy.ts';
import type { LlmCaller } from './llm-caller.ts';

type Fields = Readonly<Record<string, unknown>>;

/** One part of a streamed answer is one line; a longer one is none that anybody wants. */
const MAX_PART_LENGTH = 33_554_432;

/** A provider whose models are in the plugin's process. */
export function proxyProvider(
  llm: LlmCaller,
  connect: Connect,
  index: number,
  entry: Description['providers'][number],
): Provider {
  const models = new ModelProxies(connect, index);
  return {
    ...(entry.chat && { chat: (request, deployment) => chat(llm, connect, index, request, deployment) }),
    ...(entry.languageModel && {
      languageModel: (_modelId, deployment) => models.languageModel(deployment),
    }),
    ...(entry.embeddingModel && {
      embeddingModel: (_modelId, deployment) => models.embeddingModel(deployment),
    }),
  };
}

async function chat(
  llm: LlmCaller,
  connect: Connect,
  index: number,
  ...[request, deployment]: Parameters<NonNullable<Provider['chat']>>
): Promise<ProviderResponse> {
  const channel = await connect();
  const { promise, resolve } = Promise.withResolvers<ProviderResponse>();
  const onEvent = (_event: string, value: unknown): void => {
    const { status, headers, stream } = value as Fields;
    resolve({ status, headers, body: channel.accept(stream) } as unknown as ProviderResponse);
  };
  const params = { index, deployment: crossing(deployment) };
  const whole = (await llm.call('chat', request, params, { onEvent })) as Fields | null;
  if (whole === null) return promise;
  return { status: whole.status, headers: whole.headers, body: whole.text } as unknown as ProviderResponse;
}

class ModelProxies {
  readonly #connect: Connect;
  readonly #index: number;

  constructor(connect: Connect, index: number) {
    this.#connect = connect;
    this.#index = index;
  }

  async languageModel(deployment: ProviderDeployment): Promise<LanguageModelV4> {
    const { channel, id, fields } = await this.#make('languageModel', deployment);
    return {
      ...fields,
      // Patterns would run in the gateway, and one that never ends with it: files are sent, not their addresses.
      supportedUrls: {},
      doGenerate: (options: LanguageModelV4CallOptions) => call(channel, id, 'doGenerate', options) as never,
      doStream: (options: LanguageModelV4CallOptions) => stream(channel, id, options),
    } as unknown as LanguageModelV4;
  }

  async embeddingModel(deployment: ProviderDeployment): Promise<EmbeddingModelV4> {
    const { channel, id, fields } = await this.#make('embeddingModel', deployment);
    return {
      ...fields,
      doEmbed: (options: EmbeddingModelV4CallOptions) => call(channel, id, 'doEmbed', options),
    } as unknown as EmbeddingModelV4;
  }

  async #make(
    kind: 'languageModel' | 'embeddingModel',
    deployment: ProviderDeployment,
  ): Promise<{ readonly channel: Channel; readonly id: unknown; readonly fields: Fields }> {
    const channel = await this.#connect();
    const made = await channel.call('model', { index: this.#index, kind, deployment: crossing(deployment) });
    const { id, ...fields } = (made ?? {}) as Fields;
    return { channel, id, fields };
  }
}

type CallOptions = LanguageModelV4CallOptions | EmbeddingModelV4CallOptions;

async function call(
  channel: Channel,
  model: unknown,
  method: string,
  options: CallOptions,
): Promise<unknown> {
  const { abortSignal, ...rest } = options;
  const params = { model, method, options: toRich(rest) };
  return fromRich(await channel.call('modelCall', params, { signal: abortSignal }));
}

async function stream(
  channel: Channel,
  model: unknown,
  options: LanguageModelV4CallOptions,
): Promise<LanguageModelV4StreamResult> {
  const { abortSignal, ...rest } = options;
  const { promise, resolve } = Promise.withResolvers<LanguageModelV4StreamResult>();
  const onEvent = (_event: string, value: unknown): void => {
    const { stream: id, ...fields } = value as Fields;
    const incoming = channel.accept(id);
    abortSignal?.addEventListener('abort', () => incoming.destroy(new Error('the call was aborted')), {
      once: true,
    });
    resolve({
      ...(fromRich(fields) as object),
      stream: Readable.toWeb(Readable.from(parts(incoming))),
    } as never);
  };
  const params = { model, method: 'doStream', options: toRich(rest) };
  await channel.call('modelCall', params, { signal: abortSignal, onEvent });
  return promise;
}

/** The parts of a streamed answer, one line of JSON each. */
async function* parts(incoming: IncomingStream): AsyncGenerator<LanguageModelV4StreamPart> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of incoming) {
    const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_PART_LENGTH)
      throw new RubbishError('saw a part of a streamed answer that is too long');
    for (const line of lines) yield fromRich(JSON.parse(line)) as LanguageModelV4StreamPart;
  }
}

function crossing({ apiKey, ...rest }: ProviderDeployment): CrossingDeployment {
  return { ...rest, apiKey: apiKey?.reveal() ?? null };
}
