import type { LlmRequest } from '../../plugin-api/llm.ts';
import type { CallOptions, Channel } from '../channel/channel.ts';
import { type CrossingLlmRequest, UNKNOWN_REQUEST } from '../protocol.ts';
import type { Connect } from './http-proxy.ts';

/** Where a request has been sent already, and under which number. */
interface Sent {
  readonly ref: number;
  readonly channel: Channel;
}

/**
 * Nobody waits for the call any more. The status makes it an answer: as a failure it would let any client that hangs up
 * a few times put the plugin into quarantine, and with it whatever the plugin guards.
 */
class ClientGoneError extends Error {
  readonly status = 499;

  constructor() {
    super('the client has gone');
  }
}

/** Calls about LLM requests. A request crosses once; later calls about it tell its number alone. */
export class LlmCaller {
  readonly #connect: Connect;
  readonly #sent = new WeakMap<LlmRequest, Sent>();
  #last = 0;

  constructor(connect: Connect) {
    this.#connect = connect;
  }

  /** @throws what the other end threw; {@link ClientGoneError} when the request's signal is aborted */
  async call(
    method: string,
    request: LlmRequest,
    params: object,
    options: CallOptions = {},
  ): Promise<unknown> {
    try {
      return await this.#call(method, request, params, options);
    } catch (error) {
      throw request.signal.aborted ? new ClientGoneError() : error;
    }
  }

  async #call(method: string, request: LlmRequest, params: object, options: CallOptions): Promise<unknown> {
    const channel = await this.#connect();
    const { signal } = request;
    const sent = this.#sent.get(request);
    if (sent?.channel === channel) {
      try {
        return await channel.call(method, { ...params, about: { ref: sent.ref } }, { ...options, signal });
      } catch (error) {
        if ((error as { code?: unknown }).code !== UNKNOWN_REQUEST) throw error;
      }
    }
    return channel.call(method, { ...params, about: this.#whole(request, channel) }, { ...options, signal });
  }

  #whole(request: LlmRequest, channel: Channel): CrossingLlmRequest {
    // One by one: they may be computed when they are read, and the text is not worth its way.
    const { id, surface, model, stream, body, identity, trace } = request;
    const ref = ++this.#last;
    this.#sent.set(request, { ref, channel });
    return { ref, request: { id, surface, model, stream, body, identity, trace } };
  }
}
