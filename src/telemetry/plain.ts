const MAX_STRING = 8192;
const MAX_DEPTH = 6;
const MAX_ITEMS = 100;

/** How much of errors is shown. */
export interface PlainOptions {
  /** True: stacks and causes as well. */
  readonly debug: boolean;
}

/**
 * Any value as plain JSON data, whatever it is: cycles, throwing getters, proxies, huge strings. Logging must not be
 * what fails.
 */
export function toPlain(value: unknown, options: PlainOptions): unknown {
  return plain(value, options, 0, []);
}

function plain(value: unknown, options: PlainOptions, depth: number, above: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
      return value.length > MAX_STRING
        ? `${value.slice(0, MAX_STRING)}… (${value.length} characters)`
        : value;
    case 'bigint':
    case 'symbol':
      return String(value);
    case 'function':
      return '[function]';
    case 'object':
      return value === null ? null : plainObject(value, options, depth, above);
    default:
      return value;
  }
}

function plainObject(value: object, options: PlainOptions, depth: number, above: readonly object[]): unknown {
  if (above.includes(value)) return '[circular]';
  if (depth >= MAX_DEPTH) return '[too deep]';
  try {
    const next = [...above, value];
    if (value instanceof Error) return plainError(value, options, depth + 1, next);
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return plain(value.toJSON(), options, depth + 1, next);
    }
    if (Array.isArray(value)) {
      return value.slice(0, MAX_ITEMS).map((item) => plain(item, options, depth + 1, next));
    }
    return plainMembers(value, options, depth, next);
  } catch {
    return '[unreadable]';
  }
}

function plainMembers(
  value: object,
  options: PlainOptions,
  depth: number,
  above: readonly object[],
): unknown {
  const members = Object.keys(value)
    .slice(0, MAX_ITEMS)
    .map((key) => [key, plain(read(value, key), options, depth + 1, above)] as const);
  return Object.fromEntries(members);
}

function read(value: object, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key];
  } catch {
    return '[unreadable]';
  }
}

/** Messages and codes are for operators; stacks and causes hold paths, so they are shown when asked for only. */
function plainError(error: Error, options: PlainOptions, depth: number, above: readonly object[]): unknown {
  const { name, message, stack, cause } = error;
  const code = read(error, 'code');
  return {
    name,
    message: plain(message, options, depth, above),
    ...(typeof code === 'string' && { code }),
    ...(options.debug && { stack: plain(stack, options, depth, above) }),
    ...(options.debug && cause !== undefined && { cause: plain(cause, options, depth, above) }),
  };
}
