import { toError } from '../../errors.ts';
import type { ProviderPhase } from '../../pipeline/types.ts';
import type { ProviderDeployment, ProviderResponse } from '../../plugin-api/provider.ts';
import { traceHeaders } from '../../wire/trace-context.ts';
import type { Surface } from '../surface/surface.ts';
import { CHAT } from '../surface/table.ts';
import { BodyController } from './body-controller.ts';
import { embed, readEmbeddingRequest } from './embedding.ts';
import { toProviderFailure } from './model-failure.ts';
import type { Redact } from './redact.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from './upstream.ts';

/** An upstream that is code: the built-in echo model, or a provider of a plugin. */
export class ProviderUpstream implements Upstream {
  readonly redact: Redact;
  readonly #provider: ProviderPhase;
  readonly #deployment: ProviderDeployment;

  constructor(provider: ProviderPhase, deployment: ProviderDeployment, redact: Redact) {
    this.#provider = provider;
    this.#deployment = deployment;
    this.redact = redact;
  }

  serves(surface: Surface): boolean {
    if (surface === CHAT) return this.#provider.chat !== null;
    return surface.name === 'embeddings' && this.#provider.embeddingModel !== null;
  }

  send(call: UpstreamCall, handler: AnswerHandler): void {
    this.#answer(call, handler).catch((error: unknown) => {
      handler.reject(toProviderFailure(this.#deployment.id, error, this.redact));
    });
  }

  async #answer(call: UpstreamCall, handler: AnswerHandler): Promise<void> {
    const controller = new BodyController();
    handler.onRequestStart(controller);
    const answer = await this.#ask(call, controller);
    if (controller.aborted) return;
    handler.onResponseStart(controller, answer.status, lowerCase(answer.headers));
    try {
      for await (const chunk of chunksOf(answer.body)) {
        if (controller.aborted) return;
        handler.onResponseData(controller, toBuffer(chunk));
        if (controller.paused) await controller.resumed();
        if (controller.aborted) return;
      }
    } catch (error) {
      handler.onResponseError(controller, toError(error));
      return;
    }
    handler.onResponseEnd(controller);
  }

  /** {@link serves} has said that there is such a method. */
  async #ask(call: UpstreamCall, controller: BodyController): Promise<ProviderResponse> {
    const { chat, embeddingModel } = this.#provider;
    if (call.surface === CHAT && chat !== null) return chat(call.request, this.#deployment, call.scope);
    if (embeddingModel === null) throw new Error(`no method of the provider serves ${call.surface.path}`);
    const wanted = readEmbeddingRequest(call.request.body);
    const model = await embeddingModel(this.#deployment, call.scope);
    const headers = call.trace === null ? {} : { headers: traceHeaders(call.trace) };
    const options = { ...headers, abortSignal: controller.signal };
    return embed(model, wanted, this.#deployment.group, options);
  }
}

async function* chunksOf(body: ProviderResponse['body']): AsyncGenerator<string | Uint8Array> {
  if (typeof body === 'string' || body instanceof Uint8Array) yield body;
  else yield* body;
}

function toBuffer(chunk: string | Uint8Array): Buffer {
  if (typeof chunk === 'string') return Buffer.from(chunk);
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
