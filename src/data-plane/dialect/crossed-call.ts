import type { IncomingHttpHeaders } from 'node:http';
import type { LlmRequest } from '../../plugin-api/llm.ts';
import type { TraceContext } from '../../plugin-api/trace.ts';
import type { RequestScope } from '../../request-scope.ts';
import { LazyLlmRequest } from '../llm-request.ts';
import type { RequestBody } from '../request-body.ts';
import type { Surface } from '../surface/surface.ts';
import type { UpstreamCall } from '../upstream/upstream.ts';

/** A call as an upstream of another dialect sees it. */
export class CrossedCall implements UpstreamCall {
  readonly id: string;
  readonly scope: RequestScope | null;
  readonly surface: Surface;
  readonly body: RequestBody;
  readonly clientHeaders: IncomingHttpHeaders;
  readonly trace: TraceContext | null;
  readonly #call: UpstreamCall;

  constructor(call: UpstreamCall, surface: Surface, body: RequestBody) {
    this.id = call.id;
    this.scope = call.scope;
    this.surface = surface;
    this.body = body;
    this.clientHeaders = call.clientHeaders;
    this.trace = call.trace;
    this.#call = call;
  }

  /** For providers that are code. */
  get request(): LlmRequest {
    const { id, surface, body, trace } = this;
    const { request } = this.#call;
    const { identity } = request;
    return new LazyLlmRequest({ id, surface, identity, trace, abort: () => request.signal }, body);
  }
}
