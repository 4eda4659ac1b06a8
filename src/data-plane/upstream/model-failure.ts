import { GatewayError, isGatewayError, toError } from '../../errors.ts';
import { toClientError } from '../../wire/error-response.ts';
import { fromErrorStatus, UpstreamFailure, unreachable, unusable } from './failure.ts';
import type { Redact } from './redact.ts';

/** Errors of the SDK that say that the request asks for what the model does not have. */
const REFUSALS: ReadonlySet<string> = new Set([
  'AI_UnsupportedFunctionalityError',
  'AI_InvalidPromptError',
  'AI_InvalidArgumentError',
]);

const NO_CREDENTIALS: ReadonlySet<string> = new Set(['AI_LoadAPIKeyError', 'AI_LoadSettingError']);

/**
 * What a provider has thrown, as the failure of an upstream. A refusal (4xx) is the provider's answer; everything else
 * is a fault of this deployment.
 *
 * @param deployment the deployment's id, for messages
 */
export function toProviderFailure(deployment: string, thrown: unknown, redact: Redact): UpstreamFailure {
  const said = fromModelError(deployment, thrown, redact);
  if (said !== null) return said;
  const error = toClientError(thrown);
  if (error.status < 500) return new UpstreamFailure(error, { retry: 'never', status: error.status });
  if (isGatewayError(thrown)) return new UpstreamFailure(thrown, { retry: 'elsewhere' });
  return unusable(deployment, 'failed', null, toError(thrown));
}

/**
 * What a model of the AI SDK has thrown, as the failure of an upstream; `null` for what is no error of the SDK. An
 * upstream's status is judged as if the gateway itself had asked it.
 *
 * @param deployment the deployment's id, for messages
 */
function fromModelError(deployment: string, thrown: unknown, redact: Redact): UpstreamFailure | null {
  if (!(thrown instanceof Error) || !thrown.name.startsWith('AI_')) return null;
  if (thrown.name === 'AI_APICallError') return fromCallError(deployment, thrown, redact);
  if (REFUSALS.has(thrown.name)) {
    const error = new GatewayError('invalid_request', redact(thrown.message), { cause: thrown });
    return new UpstreamFailure(error, { retry: 'never', status: 400 });
  }
  if (NO_CREDENTIALS.has(thrown.name)) return withoutCredentials(deployment, thrown, redact);
  if (thrown.name === 'AI_NoSuchModelError') return withoutModel(deployment, thrown);
  return unusable(deployment, 'answered with something that cannot be used', null, thrown);
}

/** The members of `APICallError` that matter here, none of them trusted. */
interface CallError {
  readonly statusCode?: unknown;
  readonly responseHeaders?: unknown;
  readonly responseBody?: unknown;
}

function fromCallError(deployment: string, error: Error, redact: Redact): UpstreamFailure {
  const { statusCode, responseHeaders, responseBody } = error as CallError;
  if (typeof statusCode !== 'number') {
    return unreachable(deployment, error.cause instanceof Error ? error.cause : error);
  }
  if (statusCode < 300) {
    return unusable(deployment, 'answered with something that cannot be used', statusCode, error);
  }
  const body = Buffer.from(typeof responseBody === 'string' ? responseBody : '');
  return fromErrorStatus(deployment, statusCode, headersOf(responseHeaders), body, redact);
}

function withoutCredentials(deployment: string, cause: Error, redact: Redact): UpstreamFailure {
  const error = new GatewayError('upstream_error', `The upstream of "${deployment}" has no credentials`, {
    hint: redact(cause.message),
    cause,
  });
  return new UpstreamFailure(error, { retry: 'elsewhere' });
}

/** The provider has models of another kind only, which another deployment of the group may have. */
function withoutModel(deployment: string, cause: Error): UpstreamFailure {
  const message = `The provider of "${deployment}" has no model of this kind`;
  const error = new GatewayError('model_not_found', message, { param: 'model', cause });
  return new UpstreamFailure(error, { retry: 'elsewhere', status: 404 });
}

function headersOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  const entries = Object.entries(value).filter(([, each]) => typeof each === 'string');
  return Object.fromEntries(entries.map(([name, each]) => [name.toLowerCase(), each as string]));
}
