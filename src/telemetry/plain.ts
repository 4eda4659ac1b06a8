const MAX_STRING = 8192;
const MAX_DEPTH = 6;
const MAX_ITEMS = 100;
/** Characters, roughly, of all values of one line together. */
const MAX_TOTAL = 65_536;
/** What a value costs of that, besides its characters. */
const VALUE_COST = 8;

/** How much of errors is shown. */
export interface PlainOptions {
  /** True: stacks and causes as well. */
  readonly debug: boolean;
}

/**
 * Turns any value into plain JSON data, whatever it is: cycles, throwing getters, proxies, huge strings. Logging must
 * not be what fails. The values given to one function share its space of 64 Ki characters, so make one per line.
 */
export function createPlainer(options: PlainOptions): (value: unknown) => unknown {
  const scope = { debug: options.debug, left: MAX_TOTAL };
  return (value) => plain(value, scope, []);
}

interface Scope {
  readonly debug: boolean;
  left: number;
}

/** `above`: the objects that the value lies in. */
function plain(value: unknown, scope: Scope, above: readonly object[]): unknown {
  if (scope.left <= 0) return '[truncated]';
  scope.left -= VALUE_COST;
  switch (typeof value) {
    case 'string':
      return plainString(value, scope);
    case 'bigint':
    case 'symbol':
      return plainString(String(value), scope);
    case 'function':
      return '[function]';
    case 'object':
      return value === null ? null : plainObject(value, scope, above);
    default:
      return value;
  }
}

function plainString(value: string, scope: Scope): string {
  const room = Math.min(MAX_STRING, Math.max(scope.left, 0));
  scope.left -= Math.min(value.length, room);
  return value.length > room ? `${value.slice(0, room)}… (${value.length} characters)` : value;
}

function plainObject(value: object, scope: Scope, above: readonly object[]): unknown {
  if (above.includes(value)) return '[circular]';
  if (above.length >= MAX_DEPTH) return '[too deep]';
  try {
    const within = [...above, value];
    if (value instanceof Error) return plainError(value, scope, within);
    // Before `toJSON`: a buffer's makes an array of all its bytes.
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`;
    if ('toJSON' in value && typeof value.toJSON === 'function') return plain(value.toJSON(), scope, within);
    if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => plain(item, scope, within));
    return plainMembers(value, scope, within);
  } catch {
    return '[unreadable]';
  }
}

function plainMembers(value: object, scope: Scope, within: readonly object[]): unknown {
  const members = Object.keys(value)
    .slice(0, MAX_ITEMS)
    .map((key) => [plainString(key, scope), plain(readMember(value, key), scope, within)] as const);
  return Object.fromEntries(members);
}

/** A member, whatever its getter does. */
export function readMember(value: object, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return '[unreadable]';
  }
}

/** Messages and codes are for operators; stacks and causes hold paths, so they are shown when asked for only. */
function plainError(error: Error, scope: Scope, within: readonly object[]): unknown {
  const shown = scope.debug
    ? ['name', 'message', 'code', 'plugin', 'stack', 'cause']
    : ['name', 'message', 'code', 'plugin'];
  const members = shown
    .map((key) => [key, readMember(error, key)] as const)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, plain(value, scope, within)] as const);
  return Object.fromEntries(members);
}
