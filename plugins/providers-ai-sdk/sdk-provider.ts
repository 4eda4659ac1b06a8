import type { EmbeddingModelV4, LanguageModelV4 } from '@ai-sdk/provider';
import type { PluginContext, Provider, ProviderDeployment } from 'routeiq-gateway/plugin';
import type { CreateProvider, SdkModels } from './factory.ts';

/** One provider of the AI SDK. Each deployment has its own: key, address and headers are its own too. */
export class SdkProvider implements Provider {
  readonly #create: CreateProvider;
  readonly #options: Readonly<Record<string, unknown>>;
  readonly #fetch: typeof globalThis.fetch;
  readonly #byDeployment = new WeakMap<ProviderDeployment, SdkModels>();

  /** @param fetch holds the outbound policy, in which a deployment's `api_base` is trusted */
  constructor(
    create: CreateProvider,
    options: Readonly<Record<string, unknown>>,
    fetch: PluginContext['fetch'],
  ) {
    this.#create = create;
    this.#options = options;
    this.#fetch = asStandard(fetch);
  }

  languageModel(modelId: string, deployment: ProviderDeployment): LanguageModelV4 {
    return this.#models(deployment).languageModel(modelId);
  }

  embeddingModel(modelId: string, deployment: ProviderDeployment): EmbeddingModelV4 {
    return this.#models(deployment).embeddingModel(modelId);
  }

  #models(deployment: ProviderDeployment): SdkModels {
    const known = this.#byDeployment.get(deployment);
    if (known !== undefined) return known;
    const models = this.#create({ ...this.#options, ...this.#ownOptions(deployment) });
    this.#byDeployment.set(deployment, models);
    return models;
  }

  #ownOptions({ apiKey, apiBase, headers }: ProviderDeployment): Record<string, unknown> {
    const common = this.#options.headers;
    return {
      fetch: this.#fetch,
      headers: { ...(typeof common === 'object' ? common : {}), ...headers },
      ...(apiKey === null ? {} : { apiKey: apiKey.reveal() }),
      ...(apiBase === null ? {} : { baseURL: apiBase }),
    };
  }
}

/** The SDK calls `fetch` with an address and plain options; a `Request` is taken apart for it. */
function asStandard(fetch: PluginContext['fetch']): typeof globalThis.fetch {
  return (input, init) => {
    if (!(input instanceof Request)) return fetch(input, init as Parameters<typeof fetch>[1]);
    const { url, method, headers, body, signal, redirect } = input;
    return fetch(url, { method, headers, body, signal, redirect, ...(init as object) });
  };
}
