import type { RequestHandler } from 'express';
import { PluginLoadError, toError } from '../errors.ts';
import { parsePattern } from './path-pattern.ts';

/** Paths and handlers of one call to `get`, `use` and the like. */
export interface RouteArguments {
  readonly paths: readonly string[];
  readonly handlers: readonly RequestHandler[];
}

/** Checks the arguments of a registrar call. Messages name the plugin, the call, what was seen and what is expected. */
export class ArgumentChecks {
  readonly #plugin: string;

  constructor(plugin: string) {
    this.#plugin = plugin;
  }

  /** `(path, ...handlers)`, where `path` may be several. */
  route(call: string, path: unknown, handlers: readonly unknown[]): RouteArguments {
    return { paths: this.#paths(call, path), handlers: this.handlers(call, handlers) };
  }

  /** `([path], ...handlers)`; `paths` is empty when none was given. */
  middleware(call: string, values: readonly unknown[]): RouteArguments {
    const [first, ...rest] = values;
    if (isPathLike(first)) return this.route(call, first, rest);
    return { paths: [], handlers: this.handlers(call, values) };
  }

  /** Functions, also in nested lists, as Express takes them. At least one. */
  handlers(call: string, values: readonly unknown[]): readonly RequestHandler[] {
    const handlers = values.flat(Number.POSITIVE_INFINITY);
    if (handlers.length === 0) throw this.error(call, 'no handler', 'at least one handler function');
    return handlers.map((handler) => this.#handler(call, handler));
  }

  /** An object whose `required` members are functions; `optional` ones may be missing. */
  methods<T extends object>(
    call: string,
    value: unknown,
    required: readonly string[],
    optional: readonly string[],
  ): T {
    const expected = `an object with ${[...required, ...optional.map((name) => `${name}?`)].join(', ')}`;
    if (typeof value !== 'object' || value === null) throw this.error(call, describe(value), expected);
    const members = value as Record<string, unknown>;
    for (const name of [...required, ...optional]) {
      const member = members[name];
      if (typeof member === 'function' || (member === undefined && optional.includes(name))) continue;
      throw this.error(call, `${name}: ${describe(member)}`, expected);
    }
    return value as T;
  }

  /** An object that has at least one of `methods`: a misspelt one would never be called, and nobody told. */
  anyOf<T extends object>(call: string, value: unknown, methods: readonly (keyof T & string)[]): T {
    const checked = this.methods<T>(call, value, [], methods);
    if (methods.some((name) => checked[name] !== undefined)) return checked;
    const expected = `at least one of ${methods.map((name) => `${name}()`).join(', ')}`;
    throw this.error(call, 'none of its methods', expected);
  }

  /** A name: a string that is not blank. */
  name(call: string, value: unknown): string {
    if (typeof value === 'string' && value.trim() !== '') return value;
    throw this.error(call, `name ${describe(value)}`, 'a name, a string that is not blank');
  }

  error(call: string, seen: string, expected: string): PluginLoadError {
    const message = `Plugin "${this.#plugin}": ${call} got ${seen}; expected ${expected}`;
    return new PluginLoadError(message, { plugin: this.#plugin });
  }

  #paths(call: string, value: unknown): readonly string[] {
    const paths: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (paths.length === 0) throw this.error(call, 'no path', 'at least one path');
    return paths.map((path) => this.#path(call, path));
  }

  #path(call: string, path: unknown): string {
    // A regular expression cannot be checked for conflicts with other plugins' routes.
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw this.error(call, `path ${describe(path)}`, 'a path, a string that begins with "/"');
    }
    try {
      parsePattern(path, 'mount');
    } catch (cause) {
      throw this.error(
        call,
        `path ${describe(path)}`,
        `a path as Express 5 has it (${toError(cause).message})`,
      );
    }
    return path;
  }

  #handler(call: string, handler: unknown): RequestHandler {
    if (typeof handler !== 'function') throw this.error(call, describe(handler), 'a handler function');
    if (handler.length === 4) {
      throw this.error(
        call,
        'an error handler (four parameters)',
        'a handler of up to three parameters: the gateway answers errors itself; inside a router given to mount() error handlers work',
      );
    }
    return handler as RequestHandler;
  }
}

/** A string, a list of strings, or what a user may have meant as a path. */
function isPathLike(value: unknown): boolean {
  if (typeof value === 'string' || value instanceof RegExp) return true;
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => typeof item === 'string' || item instanceof RegExp)
  );
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  if (value instanceof RegExp) return `the regular expression ${value}`;
  return value === null ? 'null' : typeof value;
}
