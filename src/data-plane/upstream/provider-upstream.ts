import type { Dispatcher } from 'undici';
import { isGatewayError, toError } from '../../errors.ts';
import type { ProviderPhase } from '../../pipeline/types.ts';
import type { ProviderDeployment, ProviderResponse } from '../../plugin-api/provider.ts';
import { toClientError } from '../../wire/error-response.ts';
import type { Surface } from '../surface/surface.ts';
import { CHAT } from '../surface/table.ts';
import type { Attempt } from './attempt.ts';
import { embed, readEmbeddingRequest } from './embedding.ts';
import { UpstreamFailure, unusable } from './failure.ts';
import { fromModelError } from './model-failure.ts';
import type { Redact } from './redact.ts';
import type { Upstream, UpstreamCall } from './upstream.ts';

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

  send(call: UpstreamCall, attempt: Attempt): void {
    this.#answer(call, attempt).catch((error: unknown) => attempt.reject(this.#failure(error)));
  }

  async #answer(call: UpstreamCall, attempt: Attempt): Promise<void> {
    const controller = new BodyController();
    attempt.onRequestStart(controller);
    const answer = await this.#ask(call, controller);
    if (controller.aborted) return;
    attempt.onResponseStart(controller, answer.status, lowerCase(answer.headers));
    try {
      for await (const chunk of chunksOf(answer.body)) {
        if (controller.aborted) return;
        attempt.onResponseData(controller, toBuffer(chunk));
        if (controller.paused) await controller.resumed();
        if (controller.aborted) return;
      }
    } catch (error) {
      attempt.onResponseError(controller, toError(error));
      return;
    }
    attempt.onResponseEnd();
  }

  /** {@link serves} has said that there is such a method. */
  async #ask(call: UpstreamCall, controller: BodyController): Promise<ProviderResponse> {
    const { chat, embeddingModel } = this.#provider;
    if (call.surface === CHAT && chat !== null) return chat(call.request, this.#deployment);
    if (embeddingModel === null) throw new Error(`no method of the provider serves ${call.surface.path}`);
    const wanted = readEmbeddingRequest(call.request.body);
    const model = await embeddingModel(call.id, this.#deployment);
    return embed(model, wanted, this.#deployment.group, controller.signal);
  }

  /** A refusal (4xx) is the provider's answer; everything else is a fault of this deployment. */
  #failure(thrown: unknown): UpstreamFailure {
    const said = fromModelError(this.#deployment.id, thrown, this.redact);
    if (said !== null) return said;
    const error = toClientError(thrown);
    if (error.status < 500) return new UpstreamFailure(error, { retry: 'never', status: error.status });
    if (isGatewayError(thrown)) return new UpstreamFailure(thrown, { retry: 'elsewhere' });
    return unusable(this.#deployment.id, 'failed', null, toError(thrown));
  }
}

/** undici's controls for a body that is iterated. */
class BodyController implements Dispatcher.DispatchController {
  paused = false;
  aborted = false;
  reason: Error | null = null;
  #wake: (() => void) | null = null;
  #aborter: AbortController | null = null;

  /** Aborted with the attempt. */
  get signal(): AbortSignal {
    this.#aborter ??= new AbortController();
    return this.#aborter.signal;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#wake?.();
  }

  abort(reason: Error): void {
    this.aborted = true;
    this.reason = reason;
    this.#aborter?.abort(reason);
    this.#wake?.();
  }

  /** Resolves when the body may go on, or will not. */
  resumed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
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
