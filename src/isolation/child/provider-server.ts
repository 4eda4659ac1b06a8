import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { EmbeddingModelV4, LanguageModelV4 } from '@ai-sdk/provider';
import { checkEmbeddingModel, checkLanguageModel, checkStream } from '../../pipeline/models.ts';
import { checkResponse } from '../../pipeline/providers.ts';
import type { Provider, ProviderDeployment } from '../../plugin-api/provider.ts';
import type { Channel } from '../channel/channel.ts';
import { fromRich, toRich } from '../channel/rich.ts';
import type { ServedCall } from '../channel/serving.ts';
import type { CrossingDeployment, CrossingLlmRequest } from '../protocol.ts';
import { checked } from './answers.ts';
import { LlmRequests } from './llm-requests.ts';

type Model = LanguageModelV4 | EmbeddingModelV4;
// biome-ignore lint/suspicious/noExplicitAny: parameters come from the gateway, which is believed; each method has its own
type Method = (params: any, call: ServedCall) => unknown;

/** Models that are kept: the gateway makes one for every attempt. */
const KEPT_MODELS = 4096;

interface ModelOrder {
  readonly index: number;
  readonly kind: 'languageModel' | 'embeddingModel';
  readonly deployment: CrossingDeployment;
}

interface ModelCall {
  readonly model: number;
  readonly method: 'doGenerate' | 'doStream' | 'doEmbed';
  readonly options: unknown;
}

/** Calls a plugin's providers. Bodies and parts of answers go over streams of their own. */
export class ProviderServer {
  readonly methods: Readonly<Record<string, Method>>;
  readonly #channel: Channel;
  readonly #providers: readonly Provider[];
  readonly #requests = new LlmRequests();
  readonly #models = new Map<number, Model>();
  #lastModel = 0;

  constructor(channel: Channel, providers: readonly Provider[]) {
    this.#channel = channel;
    this.#providers = providers;
    this.methods = {
      chat: (params, call) => this.#chat(params, call),
      model: (params) => this.#make(params),
      modelCall: (params, call) => this.#call(params, call),
    };
  }

  async #chat(
    {
      index,
      about,
      deployment,
    }: { index: number; about: CrossingLlmRequest; deployment: CrossingDeployment },
    call: ServedCall,
  ): Promise<unknown> {
    const request = this.#requests.take(about, call.signal);
    const answer = await this.#providers[index]?.chat?.(request, toDeployment(deployment));
    const { status, headers, body } = checked(checkResponse, answer);
    if (typeof body === 'string') return { status, headers, text: body };
    const chunks = body instanceof Uint8Array ? [body] : body;
    call.emit('answer', { status, headers, stream: this.#pour(chunks, (chunk) => chunk) });
    return null;
  }

  async #make({ index, kind, deployment }: ModelOrder): Promise<unknown> {
    const provider = this.#providers[index];
    const full = toDeployment(deployment);
    const check = kind === 'languageModel' ? checkLanguageModel : checkEmbeddingModel;
    const model: Model = checked<Model>(check, await provider?.[kind]?.(full.model, full));
    this.#models.set(++this.#lastModel, model);
    this.#models.delete(this.#lastModel - KEPT_MODELS);
    const embedding = model as Partial<EmbeddingModelV4>;
    return {
      id: this.#lastModel,
      specificationVersion: model.specificationVersion,
      provider: model.provider,
      modelId: model.modelId,
      maxEmbeddingsPerCall: await embedding.maxEmbeddingsPerCall,
      supportsParallelCalls: await embedding.supportsParallelCalls,
    };
  }

  async #call({ model: id, method, options }: ModelCall, call: ServedCall): Promise<unknown> {
    const model = this.#models.get(id) as unknown as
      | Record<string, (options: unknown) => Promise<unknown>>
      | undefined;
    if (model === undefined) throw new Error('the model is not there any more');
    const full = { ...(fromRich(options) as object), abortSignal: call.signal };
    const result: unknown = await model[method]?.(full);
    if (method !== 'doStream') return toRich(result);
    const { stream, ...rest } = checked(checkStream, result);
    call.emit('stream', {
      ...(toRich(rest) as object),
      stream: this.#pour(stream, (part) => `${JSON.stringify(toRich(part))}\n`),
    });
    return null;
  }

  #pour<T>(source: Iterable<T> | AsyncIterable<T>, encode: (item: T) => string | Uint8Array): number {
    const stream = this.#channel.open();
    const items = Readable.from(
      (async function* () {
        for await (const item of source) yield encode(item);
      })(),
      { objectMode: true, highWaterMark: 1 },
    );
    pipeline(items, stream).catch(() => undefined);
    return stream.id;
  }
}

function toDeployment({ apiKey, ...rest }: CrossingDeployment): ProviderDeployment {
  return Object.freeze({ ...rest, apiKey: apiKey === null ? null : new RevealedKey(apiKey) });
}

/** As in the gateway: it shows itself neither in logs nor in JSON. */
class RevealedKey {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toJSON(): string {
    return '[secret]';
  }
}
