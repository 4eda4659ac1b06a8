import type { LanguageModelV4 } from '@ai-sdk/provider';
import type { ProviderDeployment } from '../../plugin-api/provider.ts';
import type { RequestScope } from '../../request-scope.ts';
import { traceHeaders } from '../../wire/trace-context.ts';
import { BodyController } from '../upstream/body-controller.ts';
import { UpstreamFailure } from '../upstream/failure.ts';
import { toProviderFailure } from '../upstream/model-failure.ts';
import type { Redact } from '../upstream/redact.ts';
import type { AnswerHandler, UpstreamCall } from '../upstream/upstream.ts';
import { UnusableAnswer } from './answer.ts';
import type { StreamPart } from './canonical.ts';
import { answerContext, type Carrier } from './carrier.ts';
import type { ClientDialect } from './client/table.ts';
import { CrossingBody } from './crossing-body.ts';
import { assertFields, NotCarriedError } from './fields.ts';
import { toFailure } from './transcoder.ts';
import { refuseUnsupported, toModelOptions } from './upstream/model-options.ts';
import { partsOf } from './upstream/model-parts.ts';

/** Makes the model of a deployment, contained. */
export type MakeModel = (
  deployment: ProviderDeployment,
  scope: RequestScope | null,
) => Promise<LanguageModelV4>;

/** Carries calls to a model of the AI SDK that a plugin provides. */
export class ModelCarrier implements Carrier {
  readonly #make: MakeModel;
  readonly #deployment: ProviderDeployment;
  readonly #redact: Redact;

  constructor(make: MakeModel, deployment: ProviderDeployment, redact: Redact) {
    this.#make = make;
    this.#deployment = deployment;
    this.#redact = redact;
  }

  carry(call: UpstreamCall, client: ClientDialect, handler: AnswerHandler): void {
    const controller = new BodyController();
    handler.onRequestStart(controller);
    this.#answer(call, client, handler, controller).catch((thrown: unknown) => {
      if (!controller.aborted) handler.reject(this.#failure(thrown));
    });
  }

  async #answer(
    call: UpstreamCall,
    client: ClientDialect,
    handler: AnswerHandler,
    controller: BodyController,
  ): Promise<void> {
    assertFields(call.body.json, client.fields);
    const asked = client.read(call.body.json);
    const model = await this.#make(this.#deployment, call.scope);
    const options = {
      ...(await toModelOptions(asked, model, client)),
      ...(call.trace === null ? {} : { headers: traceHeaders(call.trace) }),
      abortSignal: controller.signal,
    };
    const body = new CrossingBody(client, call.surface, answerContext(call, this.#deployment.model));
    if (call.body.stream) {
      const { stream } = await model.doStream(options);
      await relay(stream, client, body, handler, controller);
      return;
    }
    const result = await model.doGenerate(options);
    refuseUnsupported(result.warnings, client);
    const json = body.json(partsOf(result));
    if (json === null) throw new UnusableAnswer('answered with something that is no answer');
    handler.onResponseStart(controller, 200, JSON_HEADERS);
    handler.onResponseData(controller, Buffer.from(JSON.stringify(json)));
    handler.onResponseEnd(controller);
  }

  #failure(thrown: unknown): ReturnType<typeof toFailure> {
    const { id } = this.#deployment;
    if (thrown instanceof NotCarriedError) {
      return new UpstreamFailure(thrown, { retry: 'unfit', status: thrown.status });
    }
    if (thrown instanceof UnusableAnswer) return toFailure(thrown, id, null, this.#redact);
    return toProviderFailure(id, thrown, this.#redact);
  }
}

const JSON_HEADERS = { 'content-type': 'application/json' };
const SSE_HEADERS = { 'content-type': 'text/event-stream' };

/** Nothing is sent before the first event: until then another attempt can take the place of this one. */
async function relay(
  stream: ReadableStream<StreamPart>,
  client: ClientDialect,
  body: CrossingBody,
  handler: AnswerHandler,
  controller: BodyController,
): Promise<void> {
  const reader = stream.getReader();
  controller.signal.addEventListener('abort', () => void reader.cancel().catch(ignore));
  let begun = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || controller.aborted) break;
    if (value.type === 'error') throw value.error;
    if (value.type === 'stream-start') refuseUnsupported(value.warnings, client);
    const events = body.events([value]);
    if (events.length === 0) continue;
    if (!begun) handler.onResponseStart(controller, 200, SSE_HEADERS);
    begun = true;
    handler.onResponseData(controller, events);
    if (body.finished) break;
    if (controller.paused) await controller.resumed();
  }
  if (body.finished) reader.cancel().catch(ignore);
  if (!begun && !controller.aborted) throw new UnusableAnswer('ended its stream before it was complete');
  if (!controller.aborted) handler.onResponseEnd(controller);
}

/** An aborted model has nothing more to say. */
function ignore(): void {}
