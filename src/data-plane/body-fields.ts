import { GatewayError } from '../errors.ts';
import type { Surface } from './surface/surface.ts';

/**
 * The model that a body names, or its surface's own.
 *
 * @throws GatewayError `invalid_request`: it is missing, blank or no string
 */
export function readModel(model: unknown, { defaultModel }: Surface): string {
  if (typeof model === 'string' && model.trim() !== '') return model;
  if (model == null && defaultModel !== null) return defaultModel;
  if (model === undefined) throw invalidRequest('model', 'is missing');
  throw invalidRequest('model', 'must be a string that is not blank');
}

/**
 * Whether the answer is to be streamed.
 *
 * @throws GatewayError `invalid_request`: it is no boolean, or the surface has no streams
 */
export function readStream(stream: unknown, surface: Surface): boolean {
  // Bytes come as they come, and what asks for them otherwise is a word between client and upstream.
  if (stream === undefined || stream === null || stream === false || surface.answer === 'bytes') return false;
  if (stream === true && surface.stream === null) {
    throw invalidRequest('stream', `must not be true: ${surface.path} has no streams`);
  }
  if (stream !== true) throw invalidRequest('stream', 'must be true or false');
  return true;
}

/** @throws GatewayError `invalid_request`: a stream of this surface cannot have as many choices */
export function checkChoices(n: unknown, surface: Surface): void {
  const { maxChoices = Number.POSITIVE_INFINITY } = surface.stream ?? {};
  if (typeof n === 'number' && n > maxChoices) {
    throw invalidRequest('n', `must not be more than ${maxChoices} in a stream of ${surface.path}`);
  }
}

/**
 * Readers that ignore case (Go's encoding/json) would let `Model` override the `model` that the gateway has checked, and
 * of two equal keys some take the first.
 */
export function writtenTwice(name: string): GatewayError {
  return invalidJson(`"${name}" is written twice or in another case`);
}

export function invalidJson(why: string): GatewayError {
  return new GatewayError('invalid_json', `The request body is no valid JSON: ${why}`);
}

function invalidRequest(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `The parameter "${param}" ${what}`, { param });
}
