import type { EmbeddingModelV4, LanguageModelV4 } from '@ai-sdk/provider';
import type { LlmRequest } from './llm.ts';
import type { Candidate } from './routing.ts';

type MaybePromise<T> = T | Promise<T>;

/**
 * Another kind of upstream. `litellm_params.model: <name>/<model>` selects it. It has at least one of the methods, and
 * its models answer 404 on the surfaces that none of them serves.
 *
 * @example
 * ```ts
 * app.provider('fixed', {
 *   chat: (request, deployment) => ({
 *     status: 200,
 *     headers: { 'content-type': 'application/json' },
 *     body: JSON.stringify({
 *       id: `chatcmpl-${request.id}`, object: 'chat.completion', created: 0, model: deployment.group,
 *       choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, finish_reason: 'stop' }],
 *     }),
 *   }),
 * });
 * ```
 */
export interface Provider {
  /** Answers a chat completion in OpenAI's shape: a JSON body, or an SSE stream when `request.stream`. */
  chat?(request: LlmRequest, deployment: ProviderDeployment): MaybePromise<ProviderResponse>;
  /**
   * A language model of the AI SDK's provider specification, version 4: what `@ai-sdk/*` packages make. Called for
   * every attempt. An upstream's error is thrown as the SDK throws it (`AI_APICallError`): it counts against the
   * deployment, not against the plugin.
   */
  languageModel?(modelId: string, deployment: ProviderDeployment): MaybePromise<LanguageModelV4>;
  /** An embedding model of the same specification, for `/v1/embeddings`. See {@link Provider.languageModel}. */
  embeddingModel?(modelId: string, deployment: ProviderDeployment): MaybePromise<EmbeddingModelV4>;
}

/** A deployment as its provider sees it: with what the operator has configured for the upstream. Frozen. */
export interface ProviderDeployment extends Candidate {
  /** `litellm_params.api_base`, without a trailing slash; `null`: the provider's own. Trusted: it is the operator's. */
  readonly apiBase: string | null;
  /** `litellm_params.api_key`. It shows itself neither in logs nor in JSON: `reveal()` is the one way to it. */
  readonly apiKey: ApiKey | null;
  /** `litellm_params.extra_headers`, names in lower case. May hold credentials: keep them out of logs. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ApiKey {
  reveal(): string;
}

export interface ProviderResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | AsyncIterable<string | Uint8Array>;
}
