import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from '../../plugin-api/auth.ts';
import type { LlmRequest, LlmSurface } from '../../plugin-api/llm.ts';
import type { RequestBody } from '../request-body.ts';
import type { Surface } from '../surface/surface.ts';
import type { UpstreamCall } from '../upstream/upstream.ts';

/** A call as an upstream of another dialect sees it. */
export class CrossedCall implements UpstreamCall {
  readonly id: string;
  readonly surface: Surface;
  readonly body: RequestBody;
  readonly clientHeaders: IncomingHttpHeaders;
  readonly #call: UpstreamCall;

  constructor(call: UpstreamCall, surface: Surface, body: RequestBody) {
    this.id = call.id;
    this.surface = surface;
    this.body = body;
    this.clientHeaders = call.clientHeaders;
    this.#call = call;
  }

  get request(): LlmRequest {
    return new CrossedRequest(this.#call, this.surface, this.body);
  }
}

/** The same for providers of plugins: the client's own request in the dialect that the provider speaks. */
class CrossedRequest implements LlmRequest {
  readonly id: string;
  readonly surface: LlmSurface;
  readonly model: string;
  readonly stream: boolean;
  readonly body: LlmRequest['body'];
  readonly #call: UpstreamCall;

  constructor(call: UpstreamCall, surface: Surface, body: RequestBody) {
    this.id = call.id;
    this.surface = surface.name;
    this.model = call.body.model;
    this.stream = body.stream;
    this.body = body.guarded();
    this.#call = call;
    Object.freeze(this);
  }

  get identity(): Identity | null {
    return this.#call.request.identity;
  }

  get signal(): AbortSignal {
    return this.#call.request.signal;
  }
}
