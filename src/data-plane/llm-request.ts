import type { Identity } from '../plugin-api/auth.ts';
import type { LlmRequest, LlmSurface } from '../plugin-api/llm.ts';
import type { TraceContext } from '../plugin-api/trace.ts';
import type { JsonObject } from './json-value.ts';
import type { RequestBody } from './request-body.ts';
import type { Surface } from './surface/surface.ts';
import { textOfRequest } from './text/request-text.ts';

/** What a request is made of besides its body. */
export interface CallScope {
  readonly id: string;
  readonly surface: Surface;
  readonly identity: Identity | null;
  readonly trace: TraceContext | null;
  /** Aborted when the client is gone. */
  readonly abort: () => AbortSignal;
}

/**
 * The call as hooks and evaluators see it.
 *
 * @throws GatewayError `invalid_json`, for repeated keys: see {@link RequestBody.guarded}
 */
export function toLlmRequest(scope: CallScope, body: RequestBody): LlmRequest {
  return new GuardedLlmRequest(scope, body);
}

/** Own members but for `text`, which is put together when it is read: a change of the body must change it too. */
class GuardedLlmRequest implements LlmRequest {
  readonly id: string;
  readonly surface: LlmSurface;
  readonly model: string;
  readonly stream: boolean;
  readonly body: JsonObject;
  readonly identity: Identity | null;
  readonly trace: TraceContext | null;
  readonly signal: AbortSignal;

  constructor(scope: CallScope, body: RequestBody) {
    this.id = scope.id;
    this.surface = scope.surface.name;
    this.model = body.model;
    this.stream = body.stream;
    this.body = body.guarded();
    this.identity = scope.identity;
    this.trace = scope.trace;
    this.signal = scope.abort();
    Object.freeze(this);
  }

  get text(): string {
    return textOfRequest(this.body);
  }
}

/**
 * The call as strategies and providers see it when nobody hooks it: a strategy that looks at the model's name alone
 * costs no frozen tree and no abort controller.
 */
export class LazyLlmRequest implements LlmRequest {
  readonly id: string;
  readonly surface: LlmSurface;
  readonly model: string;
  readonly stream: boolean;
  readonly identity: Identity | null;
  readonly trace: TraceContext | null;
  readonly #body: RequestBody;
  readonly #scope: CallScope;

  constructor(scope: CallScope, body: RequestBody) {
    this.id = scope.id;
    this.surface = scope.surface.name;
    this.model = body.model;
    this.stream = body.stream;
    this.identity = scope.identity;
    this.trace = scope.trace;
    this.#body = body;
    this.#scope = scope;
    Object.freeze(this);
  }

  get body(): Readonly<Record<string, unknown>> {
    return this.#body.guarded();
  }

  get text(): string {
    return textOfRequest(this.body);
  }

  get signal(): AbortSignal {
    return this.#scope.abort();
  }
}
