import { toClientError } from '../../wire/error-response.ts';
import { MadeBody } from '../made-body.ts';
import { UpstreamFailure } from '../upstream/failure.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from '../upstream/upstream.ts';
import { answerContext, type Carrier } from './carrier.ts';
import type { ClientDialect } from './client/table.ts';
import { CrossedCall } from './crossed-call.ts';
import { CrossingBody } from './crossing-body.ts';
import { assertCarried, assertFields, NotCarriedError } from './fields.ts';
import { Transcoder } from './transcoder.ts';
import type { Target } from './upstream/target.ts';

export interface DialectCarrierOptions {
  /** Speaks the target's dialect. */
  readonly native: Upstream;
  readonly target: Target;
  /** The deployment's id, for messages. */
  readonly deployment: string;
  /** The model's name at the upstream. */
  readonly model: string;
}

/** Carries calls to an upstream that is asked in a dialect of its own. */
export class DialectCarrier implements Carrier {
  readonly #native: Upstream;
  readonly #target: Target;
  readonly #deployment: string;
  readonly #model: string;

  constructor({ native, target, deployment, model }: DialectCarrierOptions) {
    this.#native = native;
    this.#target = target;
    this.#deployment = deployment;
    this.#model = model;
  }

  carry(call: UpstreamCall, client: ClientDialect, handler: AnswerHandler): void {
    let crossed: CrossedCall;
    try {
      crossed = new CrossedCall(call, this.#target.surface, this.#translate(call, client));
    } catch (thrown) {
      handler.reject(notSent(thrown));
      return;
    }
    const transcoder = new Transcoder({
      handler,
      target: this.#target,
      body: new CrossingBody(client, call.surface, answerContext(call, this.#model)),
      deployment: this.#deployment,
      redact: this.#native.redact,
    });
    this.#native.send(crossed, transcoder);
  }

  /** The request in the upstream's dialect. */
  #translate({ body }: UpstreamCall, { fields, prompt, read }: ClientDialect): MadeBody {
    assertFields(body.json, fields);
    const options = read(body.json);
    assertCarried(options, this.#target.carriage, fields, prompt);
    const json = this.#target.toRequest(options, this.#model, body.stream, fields);
    return new MadeBody(json, this.#target.surface);
  }
}

/** Any other mistake than a word that the dialect lacks is the client's: no other attempt would do better. */
function notSent(thrown: unknown): UpstreamFailure {
  const error = toClientError(thrown);
  const retry = thrown instanceof NotCarriedError ? 'unfit' : 'never';
  return new UpstreamFailure(error, { retry, status: error.status });
}
