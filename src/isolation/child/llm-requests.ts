import type { JsonObject } from '../../data-plane/json-value.ts';
import { textOfRequest } from '../../data-plane/text/request-text.ts';
import { deepFreeze } from '../../freeze.ts';
import type { LlmRequest, LlmSurface } from '../../plugin-api/llm.ts';
import { type CrossingLlmRequest, type LlmFields, UNKNOWN_REQUEST } from '../protocol.ts';

/** Requests that are kept, the latest: a call that outlives them is sent whole again. */
const KEPT = 1024;

/**
 * LLM requests by the number that the gateway gives them: a request crosses once, however many hooks and chunks it has.
 */
export class LlmRequests {
  readonly #known = new Map<number, LlmFields>();

  /** @throws an error with the code {@link UNKNOWN_REQUEST} when only a number came, and it is not known any more */
  take({ ref, request }: CrossingLlmRequest, signal: AbortSignal): LlmRequest {
    if (request !== undefined) this.#keep(ref, request);
    const known = this.#known.get(ref);
    if (known === undefined) throw Object.assign(new Error('an unknown request'), { code: UNKNOWN_REQUEST });
    return new RemoteLlmRequest(known, signal);
  }

  #keep(ref: number, request: LlmFields): void {
    this.#known.set(ref, deepFreeze(request));
    if (this.#known.size <= KEPT) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

/** Own members but for `text`, which follows the body when a hook changes it. */
class RemoteLlmRequest implements LlmRequest {
  readonly id: string;
  readonly surface: LlmSurface;
  readonly model: string;
  readonly stream: boolean;
  readonly body: LlmRequest['body'];
  readonly identity: LlmRequest['identity'];
  readonly trace: LlmRequest['trace'];
  readonly signal: AbortSignal;

  constructor(fields: LlmFields, signal: AbortSignal) {
    this.id = fields.id;
    this.surface = fields.surface;
    this.model = fields.model;
    this.stream = fields.stream;
    this.body = fields.body;
    this.identity = fields.identity;
    this.trace = fields.trace;
    this.signal = signal;
    Object.freeze(this);
  }

  get text(): string {
    return textOfRequest(this.body as JsonObject);
  }
}

/** The request with another body, whose model and stream count, as in the gateway. */
export function withBody(request: LlmRequest, body: LlmRequest['body']): LlmRequest {
  const { id, surface, identity, trace, signal } = request;
  const model = typeof body.model === 'string' ? body.model : request.model;
  const stream = body.stream === true;
  const fields = { id, surface, identity, trace, model, stream, body: deepFreeze(body) };
  return new RemoteLlmRequest(fields, signal);
}
