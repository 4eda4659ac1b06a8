import type { LlmRequest } from './llm.ts';
import type { Candidate } from './routing.ts';

/**
 * Another kind of upstream. `litellm_params.model: <name>/<model>` selects it. It serves chat completions only: its
 * models answer 404 on the other surfaces.
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
  chat(request: LlmRequest, deployment: Candidate): ProviderResponse | Promise<ProviderResponse>;
}

export interface ProviderResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | AsyncIterable<string | Uint8Array>;
}
