import type { EndOfTurn } from '../end-of-turn.ts';
import { GatewayError } from '../errors.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { ModelInfo } from '../plugin-api/models.ts';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import { ClientAnswer } from './client-answer.ts';
import { mayUse, modelNotFound, toAnthropicModel, toAnthropicPage, toModelObject } from './models.ts';

/**
 * Serves one request of the data plane. Authentication and middleware have run. Never rejects: failures are answered
 * in the shape of the path's API.
 */
export type DataPlaneHandler = (
  req: GatewayRequest,
  res: GatewayResponse,
  pipeline: Pipeline,
) => Promise<void>;

/** Below this path every model has its own. */
export const MODEL_PREFIX = '/v1/models/';

/** `GET /v1/models`: what the caller may use. */
export function listModels(
  models: readonly ModelInfo[],
  created: number,
  endOfTurn: EndOfTurn,
): DataPlaneHandler {
  return async (req, res) => {
    const own = models.filter(({ id }) => mayUse(req.identity, id));
    const body = speaksAnthropic(req)
      ? toAnthropicPage(own, created)
      : { object: 'list', data: own.map((model) => toModelObject(model, created)) };
    sendJson(new ClientAnswer(req, res, endOfTurn), body);
  };
}

/** `GET /v1/models/:id`. An id may contain slashes, encoded or not. A model that the caller may not use is not there. */
export function getModel(
  models: readonly ModelInfo[],
  created: number,
  endOfTurn: EndOfTurn,
): DataPlaneHandler {
  const byId = new Map(models.map((model) => [model.id, model]));
  return async (req, res) => {
    const answer = new ClientAnswer(req, res, endOfTurn);
    const id = modelIdOf(req.url ?? '');
    const model = byId.get(id);
    if (model === undefined || !mayUse(req.identity, id)) answer.error(modelNotFound(id));
    else
      sendJson(
        answer,
        speaksAnthropic(req) ? toAnthropicModel(model, created) : toModelObject(model, created),
      );
  };
}

/** A known path, asked for with another method than its own (RFC 9110, section 15.5.6). */
export function methodNotAllowed(path: string, allow: string, endOfTurn: EndOfTurn): DataPlaneHandler {
  return async (req, res) => {
    res.setHeader('allow', allow);
    const message = `${path} takes ${allow}, not ${req.method}`;
    new ClientAnswer(req, res, endOfTurn).error(new GatewayError('method_not_allowed', message));
  };
}

/** Both APIs have these paths; Anthropic's asks for its version in a header. */
function speaksAnthropic(req: GatewayRequest): boolean {
  return req.headers['anthropic-version'] !== undefined;
}

function modelIdOf(url: string): string {
  const query = url.indexOf('?');
  const id = url.slice(MODEL_PREFIX.length, query === -1 ? undefined : query);
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function sendJson(answer: ClientAnswer, body: unknown): void {
  answer.json(200, {}, Buffer.from(JSON.stringify(body)));
}
