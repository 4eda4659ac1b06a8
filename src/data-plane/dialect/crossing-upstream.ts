import type { LlmSurface } from '../../plugin-api/llm.ts';
import { toClientError } from '../../wire/error-response.ts';
import { JsonBody } from '../json-body.ts';
import type { Surface } from '../surface/surface.ts';
import { UpstreamFailure } from '../upstream/failure.ts';
import type { Redact } from '../upstream/redact.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from '../upstream/upstream.ts';
import type { ClientDialect } from './client/table.ts';
import { CrossedCall } from './crossed-call.ts';
import { CrossingBody } from './crossing-body.ts';
import { assertCarried, assertFields } from './fields.ts';
import { Transcoder } from './transcoder.ts';
import type { Target } from './upstream/target.ts';

export interface CrossingOptions {
  /** Speaks the target's dialect. */
  readonly native: Upstream;
  readonly target: Target;
  /** The dialects that have to cross, by surface. */
  readonly crossed: ReadonlyMap<LlmSurface, ClientDialect>;
  /** The deployment's id, for messages. */
  readonly deployment: string;
  /** The model's name at the upstream. */
  readonly model: string;
}

/**
 * An upstream that is asked in its own dialect, whatever the client speaks. Calls that need no crossing go through as
 * they are.
 */
export class CrossingUpstream implements Upstream {
  readonly redact: Redact;
  readonly #native: Upstream;
  readonly #target: Target;
  readonly #crossed: ReadonlyMap<LlmSurface, ClientDialect>;
  readonly #deployment: string;
  readonly #model: string;

  constructor({ native, target, crossed, deployment, model }: CrossingOptions) {
    this.redact = native.redact;
    this.#native = native;
    this.#target = target;
    this.#crossed = crossed;
    this.#deployment = deployment;
    this.#model = model;
  }

  serves(surface: Surface): boolean {
    return this.#crossed.has(surface.name) || this.#native.serves(surface);
  }

  send(call: UpstreamCall, handler: AnswerHandler): void {
    const client = this.#crossed.get(call.surface.name);
    if (client === undefined) this.#native.send(call, handler);
    else this.#cross(call, client, handler);
  }

  #cross(call: UpstreamCall, client: ClientDialect, handler: AnswerHandler): void {
    let body: JsonBody;
    try {
      body = this.#carry(call, client);
    } catch (error) {
      handler.reject(toRefusal(error));
      return;
    }
    const { surface } = this.#target;
    const transcoder = new Transcoder({
      handler,
      target: this.#target,
      body: new CrossingBody(client, call.surface, {
        id: call.id,
        model: this.#model,
        now: Date.now(),
        request: call.body.json,
        stream: call.body.stream,
      }),
      deployment: this.#deployment,
      redact: this.redact,
    });
    this.#native.send(new CrossedCall(call, surface, body), transcoder);
  }

  /** The request in the upstream's dialect. */
  #carry({ body }: UpstreamCall, { fields, prompt, read }: ClientDialect): JsonBody {
    assertFields(body.json, fields);
    const options = read(body.json);
    assertCarried(options, this.#target.carriage, fields, prompt);
    const json = this.#target.toRequest(options, this.#model, body.stream, fields);
    return JsonBody.of(json, this.#target.surface);
  }
}

/** What cannot be carried is the client's to change; what is wrong with it is said once. */
export function toRefusal(thrown: unknown): UpstreamFailure {
  const error = toClientError(thrown);
  return new UpstreamFailure(error, { retry: 'never', status: error.status });
}
