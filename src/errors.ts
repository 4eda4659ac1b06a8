/**
 * Every error the gateway answers with or writes to the log. Tools match on `code`, never on the class: copies of
 * this package may coexist in one process.
 */

/** OpenAI's error types, the `type` of an error body. */
export type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'rate_limit_error'
  | 'server_error';

/**
 * The one table of codes: the HTTP status when such an error reaches a client (500 for those that normally do not)
 * and the `type` of its body. The README's table is held equal to it by a test; codes are never changed or reused.
 */
export const ERRORS = {
  config_invalid: { status: 500, type: 'server_error' },
  plugin_load: { status: 500, type: 'server_error' },
  plugin_not_allowlisted: { status: 500, type: 'server_error' },
  plugin_capability_denied: { status: 500, type: 'server_error' },
  plugin_security: { status: 500, type: 'server_error' },
  plugin_dependency: { status: 500, type: 'server_error' },
  plugin_timeout: { status: 504, type: 'server_error' },
  capability_not_declared: { status: 500, type: 'server_error' },
  capability_not_allowed: { status: 500, type: 'server_error' },
  route_conflict: { status: 500, type: 'server_error' },
  ssrf_blocked: { status: 403, type: 'permission_error' },
  plugin_error: { status: 500, type: 'server_error' },
  plugin_reload_failed: { status: 422, type: 'invalid_request_error' },
  plugin_quarantined: { status: 503, type: 'server_error' },
  auth_unavailable: { status: 503, type: 'server_error' },
  evaluator_unavailable: { status: 503, type: 'server_error' },
  storage_unavailable: { status: 503, type: 'server_error' },
  invalid_json: { status: 400, type: 'invalid_request_error' },
  invalid_request: { status: 400, type: 'invalid_request_error' },
  content_filter: { status: 400, type: 'invalid_request_error' },
  model_not_found: { status: 404, type: 'invalid_request_error' },
  not_found: { status: 404, type: 'invalid_request_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },
  conflict: { status: 409, type: 'invalid_request_error' },
  body_too_large: { status: 413, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  misdirected_request: { status: 421, type: 'invalid_request_error' },
  authentication_error: { status: 401, type: 'authentication_error' },
  permission_error: { status: 403, type: 'permission_error' },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error' },
  internal_error: { status: 500, type: 'server_error' },
  not_implemented: { status: 501, type: 'server_error' },
  upstream_error: { status: 502, type: 'server_error' },
  no_deployment_available: { status: 503, type: 'server_error' },
  gateway_draining: { status: 503, type: 'server_error' },
  upstream_timeout: { status: 504, type: 'server_error' },
} as const;
Object.freeze(ERRORS);

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS;

/** What may be said of an error besides its code and message. */
export interface GatewayErrorOptions {
  /** Name of the plugin to blame. */
  readonly plugin?: string | undefined;
  /** One sentence that tells the operator what to change. */
  readonly hint?: string | undefined;
  /** HTTP status instead of the table's. */
  readonly status?: number | undefined;
  /** The request field at fault, `param` of the error body. */
  readonly param?: string | undefined;
  /** For the answer: `retry-after`, `www-authenticate`, `x-ratelimit-*`. Others are left out. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly cause?: unknown;
}

/**
 * An error of the gateway. Its message may be shown to a client: it names the plugin, the value seen and the value
 * expected, and never a secret, a path or a stack.
 *
 * @example
 * ```ts
 * import { GatewayError } from 'routeiq-gateway/plugin';
 *
 * throw new GatewayError('permission_error', 'The key "ci" may not use the model "gpt-4o"', { param: 'model' });
 * ```
 */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly type: ErrorType;
  readonly plugin: string | undefined;
  readonly hint: string | undefined;
  readonly param: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.status = options.status ?? ERRORS[code].status;
    this.type = ERRORS[code].type;
    this.plugin = options.plugin;
    this.hint = options.hint;
    this.param = options.param;
    this.headers = options.headers;
  }
}

/** Wrong configuration: a variable, a file, the port. Ends the process with exit code 78. Code `config_invalid`. */
export class ConfigError extends GatewayError {
  /** One line each; all that is wrong is reported together. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options: GatewayErrorOptions = {}) {
    super('config_invalid', problems.join('\n'), options);
    this.problems = problems;
  }
}

/** A plugin that cannot be found, read, imported or understood. Code `plugin_load`. */
export class PluginLoadError extends GatewayError {
  constructor(message: string, options: GatewayErrorOptions = {}) {
    super('plugin_load', message, options);
  }
}

/** A plugin refused by policy. Code `plugin_not_allowlisted`, `plugin_capability_denied` or `plugin_security`. */
export class PluginSecurityError extends GatewayError {
  constructor(
    code: 'plugin_not_allowlisted' | 'plugin_capability_denied' | 'plugin_security',
    message: string,
    options: GatewayErrorOptions = {},
  ) {
    super(code, message, options);
  }
}

/** A dependency cycle, or a dependency that nobody provides. Code `plugin_dependency`; exit code 78. */
export class PluginDependencyError extends GatewayError {
  /** The cycle's path, first name repeated at the end, or `[dependent, missing]`. */
  readonly path: readonly string[];

  constructor(message: string, path: readonly string[], options: GatewayErrorOptions = {}) {
    super('plugin_dependency', message, options);
    this.path = path;
  }
}

/** A call into a plugin that did not settle in time. Code `plugin_timeout`. */
export class PluginTimeoutError extends GatewayError {
  constructor(message: string, options: GatewayErrorOptions = {}) {
    super('plugin_timeout', message, options);
  }
}

/** A registrar call without the capability for it. Code `capability_not_declared` or `capability_not_allowed`. */
export class CapabilityError extends GatewayError {
  constructor(
    code: 'capability_not_declared' | 'capability_not_allowed',
    message: string,
    options: GatewayErrorOptions = {},
  ) {
    super(code, message, options);
  }
}

/** A path that the gateway or an earlier plugin owns. Code `route_conflict`; the message names both owners. */
export class RouteConflictError extends GatewayError {
  constructor(message: string, options: GatewayErrorOptions = {}) {
    super('route_conflict', message, options);
  }
}

/** Why the outbound policy refused a URL. */
export type SSRFReason =
  | 'invalid_url'
  | 'scheme'
  | 'userinfo'
  | 'hostname'
  | 'address'
  | 'dns'
  | 'redirect'
  | 'response_too_large'
  | 'method';

/** An outbound URL that the policy refuses. Code `ssrf_blocked`; 403 if it reaches a client. */
export class SSRFBlockedError extends GatewayError {
  readonly reason: SSRFReason;

  constructor(reason: SSRFReason, message: string, options: GatewayErrorOptions = {}) {
    super('ssrf_blocked', message, options);
    this.reason = reason;
  }
}

/**
 * What a plugin has answered is not what its method answers: found where the plugin runs, by the check of whoever has
 * asked. The message says what was seen and what is expected.
 */
export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError';
}

/** The body of an error answer in OpenAI's shape. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** OpenAI's error shape for a {@link GatewayError}. */
export function toErrorBody(error: GatewayError): ErrorBody {
  return {
    error: { message: error.message, type: error.type, param: error.param ?? null, code: error.code },
  };
}

/**
 * True for a {@link GatewayError}, also one of another copy of this package. An error that only borrows a code of the
 * table is none: it lacks what an answer is made of. Never throws, whatever was thrown.
 */
export function isGatewayError(error: unknown): error is GatewayError {
  try {
    return isReadableError(error) && isAnswerable(error);
  } catch {
    return false;
  }
}

function isAnswerable({ code, status, type }: Partial<GatewayError>): boolean {
  if (typeof code !== 'string' || !Object.hasOwn(ERRORS, code)) return false;
  return typeof status === 'number' && type === ERRORS[code].type;
}

/**
 * The status of an error that is an answer rather than a failure: an own `status` (or `statusCode`, as `http-errors`
 * has it) from 400 to 499. `undefined` for everything else.
 */
export function clientErrorStatus(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  const value = status ?? statusCode;
  return typeof value === 'number' && Number.isInteger(value) && value >= 400 && value <= 499
    ? value
    : undefined;
}

/** Whatever was thrown, as an `Error`: plugins may throw strings, `undefined`, or objects with hostile getters. */
export function toError(thrown: unknown): Error {
  if (isReadableError(thrown)) return thrown;
  return new Error(`a value that is no Error was thrown: ${describe(thrown)}`);
}

/** A proxy's traps make even `instanceof` throw, and where errors are judged nothing may. */
function isReadableError(value: unknown): value is Error {
  try {
    return value instanceof Error && typeof value.message === 'string';
  } catch {
    return false;
  }
}

function describe(value: unknown): string {
  try {
    return typeof value === 'string' ? JSON.stringify(value) : String(value);
  } catch {
    return `a ${typeof value} that cannot be read`;
  }
}
