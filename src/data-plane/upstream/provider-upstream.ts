import type { Dispatcher } from 'undici';
import { isGatewayError, toError } from '../../errors.ts';
import type { Provider, ProviderResponse } from '../../plugin-api/provider.ts';
import type { Candidate } from '../../plugin-api/routing.ts';
import { toClientError } from '../../wire/error-response.ts';
import type { Surface } from '../surface/surface.ts';
import { CHAT } from '../surface/table.ts';
import { UpstreamFailure, unusable } from './failure.ts';
import { createRedact, type Redact } from './redact.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from './upstream.ts';

/** An upstream that is code: the built-in echo model, or a provider of a plugin. */
export class ProviderUpstream implements Upstream {
  readonly redact: Redact = createRedact([]);
  readonly #provider: Provider;
  readonly #deployment: Candidate;

  constructor(provider: Provider, deployment: Candidate) {
    this.#provider = provider;
    this.#deployment = deployment;
  }

  /** A provider's one method is `chat`. */
  serves(surface: Surface): boolean {
    return surface === CHAT;
  }

  send(call: UpstreamCall, handler: AnswerHandler): void {
    this.#answer(call, handler).catch((error: unknown) => handler.reject(this.#failure(error)));
  }

  async #answer(call: UpstreamCall, handler: AnswerHandler): Promise<void> {
    const answer = await this.#provider.chat(call.request, this.#deployment);
    const controller = new BodyController();
    handler.onRequestStart(controller);
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

  /** A refusal (4xx) is the provider's answer; everything else is a fault of this deployment. */
  #failure(thrown: unknown): UpstreamFailure {
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
