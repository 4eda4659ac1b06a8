import {
  clientErrorStatus,
  ERRORS,
  type ErrorCode,
  GatewayError,
  isGatewayError,
  PluginTimeoutError,
  SSRFBlockedError,
  type SSRFReason,
  toError,
  WrongAnswerError,
} from '../../errors.ts';

/** An error as it crosses: plain JSON. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Own members that are JSON, such as `status` and `code`. */
  readonly members: Readonly<Record<string, unknown>>;
  readonly cause?: PackedError;
}

/** Members are for judging an error and for its answer; what is longer serves neither. */
const MAX_MEMBERS_LENGTH = 65_536;
const RESERVED: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause', '__proto__']);

/** Causes of causes that cross. */
const MAX_CAUSES = 4;
/** Those that code asks for with `instanceof`. */
const NATIVE: Readonly<Record<string, ErrorConstructor>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/**
 * Whatever was thrown, for the other side. Never throws. What lies behind an error of the gateway's is not the other
 * side's.
 *
 * @param causes how many causes go with it
 */
export function packError(thrown: unknown, causes: number = MAX_CAUSES): PackedError {
  const error = toError(thrown);
  try {
    const members = Object.fromEntries(
      Object.entries({ ...thrownMembers(thrown), ...error }).filter(isPlain),
    );
    const { name, stack = '' } = error;
    const message = error === thrown ? error.message : saidBy(thrown, error);
    const small = JSON.stringify(members).length <= MAX_MEMBERS_LENGTH ? members : {};
    const packed = { name: String(name), message, stack: String(stack), members: small };
    const cause = causes > 0 && !isGatewayError(error) ? error.cause : undefined;
    return cause instanceof Error ? { ...packed, cause: packError(cause, causes - 1) } : packed;
  } catch {
    return { name: 'Error', message: 'an error that cannot be read was thrown', stack: '', members: {} };
  }
}

/** The error again, of the class that its code belongs to. */
export function unpackError({ name, message, stack, members, cause }: PackedError): Error {
  const error = create(name, message, members);
  if (name !== error.name) define(error, 'name', name);
  if (!isGatewayError(error)) {
    for (const [key, value] of Object.entries(members)) if (!RESERVED.has(key)) define(error, key, value);
    if (cause !== undefined) define(error, 'cause', unpackError(cause));
  }
  if (stack !== '') define(error, 'stack', stack);
  return error;
}

/** What came over the channel in an error's place, checked. */
export function parseError(value: unknown, causes: number = MAX_CAUSES): PackedError {
  const { name, message, stack, members, cause } = (value ?? {}) as Record<string, unknown>;
  return {
    ...(causes > 0 &&
      typeof cause === 'object' &&
      cause !== null && { cause: parseError(cause, causes - 1) }),
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'an error without a message',
    stack: typeof stack === 'string' ? stack : '',
    members: typeof members === 'object' && members !== null ? (members as Record<string, unknown>) : {},
  };
}

function create(name: string, message: string, members: Readonly<Record<string, unknown>>): Error {
  if (name === 'WrongAnswerError') return new WrongAnswerError(message);
  const { code, type, status, reason } = members;
  if (typeof code !== 'string' || !Object.hasOwn(ERRORS, code) || type !== ERRORS[code as ErrorCode].type)
    return native(name, message);
  if (typeof status !== 'number') return native(name, message);
  if (code === 'ssrf_blocked') return new SSRFBlockedError(reason as SSRFReason, message);
  if (code === 'plugin_timeout') return new PluginTimeoutError(message);
  const { plugin, hint, param, headers } = members as Record<string, never>;
  return new GatewayError(code as ErrorCode, message, { status, plugin, hint, param, headers });
}

function native(name: string, message: string): Error {
  const Native = Object.hasOwn(NATIVE, name) ? NATIVE[name] : undefined;
  return new (Native ?? Error)(message);
}

/** What is thrown may be a bare object such as `{ status: 401, message }`: an answer as much as an error with them. */
function saidBy(thrown: unknown, error: Error): string {
  if (clientErrorStatus(thrown) === undefined) return error.message;
  const { message } = thrown as { message?: unknown };
  return typeof message === 'string' ? message : '';
}

function thrownMembers(thrown: unknown): object {
  return typeof thrown === 'object' && thrown !== null ? { ...thrown } : {};
}

function isPlain([key, value]: readonly [string, unknown]): boolean {
  if (RESERVED.has(key) || typeof value === 'function' || typeof value === 'symbol') return false;
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false;
  }
}

function define(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, {
    value,
    configurable: true,
    writable: true,
    enumerable: key === 'status',
  });
}
