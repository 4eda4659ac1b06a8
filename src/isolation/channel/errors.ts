import {
  ERRORS,
  type ErrorCode,
  GatewayError,
  isGatewayError,
  PluginTimeoutError,
  SSRFBlockedError,
  type SSRFReason,
  toError,
} from '../../errors.ts';

/** An error as it crosses: plain JSON. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Own members that are JSON, such as `status` and `code`. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** Members are for judging an error and for its answer; what is longer serves neither. */
const MAX_MEMBERS_LENGTH = 65_536;
const RESERVED: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause', '__proto__']);

/** Whatever was thrown, for the other side. Never throws. */
export function packError(thrown: unknown): PackedError {
  const error = toError(thrown);
  try {
    const members = Object.fromEntries(
      Object.entries({ ...thrownMembers(thrown), ...error }).filter(isPlain),
    );
    const { name, message, stack = '' } = error;
    const small = JSON.stringify(members).length <= MAX_MEMBERS_LENGTH ? members : {};
    return { name: String(name), message, stack: String(stack), members: small };
  } catch {
    return { name: 'Error', message: 'an error that cannot be read was thrown', stack: '', members: {} };
  }
}

/** The error again, of the class that its code belongs to. */
export function unpackError({ name, message, stack, members }: PackedError): Error {
  const error = create(message, members);
  if (!isGatewayError(error)) {
    for (const [key, value] of Object.entries(members)) if (!RESERVED.has(key)) define(error, key, value);
    if (name !== 'Error') define(error, 'name', name);
  }
  if (stack !== '') define(error, 'stack', stack);
  return error;
}

/** What came over the channel in an error's place, checked. */
export function parseError(value: unknown): PackedError {
  const { name, message, stack, members } = (value ?? {}) as Record<string, unknown>;
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'an error without a message',
    stack: typeof stack === 'string' ? stack : '',
    members: typeof members === 'object' && members !== null ? (members as Record<string, unknown>) : {},
  };
}

function create(message: string, members: Readonly<Record<string, unknown>>): Error {
  const { code, type, status, reason } = members;
  if (typeof code !== 'string' || !Object.hasOwn(ERRORS, code)) return new Error(message);
  if (typeof type !== 'string' || typeof status !== 'number') return new Error(message);
  if (code === 'ssrf_blocked') return new SSRFBlockedError(reason as SSRFReason, message);
  if (code === 'plugin_timeout') return new PluginTimeoutError(message);
  const { plugin, hint, param, headers } = members as Record<string, never>;
  return new GatewayError(code as ErrorCode, message, { status, plugin, hint, param, headers });
}

/** What is thrown may be a bare object such as `{ status: 401 }`: an answer as much as an error with it. */
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
