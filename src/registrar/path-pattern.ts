import { createRequire } from 'node:module';
import { PluginLoadError } from '../errors.ts';
import { type Automaton, AutomatonBuilder, findText, intersect } from './path-automaton.ts';

/** A token of path-to-regexp 8. */
type Token =
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'param'; readonly name: string }
  | { readonly type: 'wildcard'; readonly name: string }
  | { readonly type: 'group'; readonly tokens: readonly Token[] };

interface PathToRegexp {
  parse(path: string): { readonly tokens: readonly Token[] };
  pathToRegexp(path: string): unknown;
}

/** What Express will make of a path: a handler for the path itself, or for it and everything below it (`use`). */
export type PatternKind = 'route' | 'mount';

/** A path of Express 5, understood. */
export interface PathPattern {
  /** As written. */
  readonly path: string;
  readonly kind: PatternKind;
  /** The request paths that it matches: texts that begin with `/`. */
  readonly automaton: Automaton;
}

/** The copy that Express's router matches with, so that both always agree on the syntax. */
const requireFromExpress = createRequire(createRequire(import.meta.url).resolve('express'));
const { parse, pathToRegexp }: PathToRegexp = createRequire(requireFromExpress.resolve('router'))(
  'path-to-regexp',
);

/**
 * Parses a path as Express's router does: trailing slashes do not count, letters match in either case.
 *
 * A parameter is any text without `/`, a wildcard any text. That is a little more than Express matches: it holds
 * neighbouring parameters apart by the text between them (`/:a-:b` does not match `/1-2-`). So a conflict may be seen
 * where there is none in such a corner, but none is missed.
 *
 * @throws PluginLoadError `plugin_load`, with path-to-regexp's reason, and for paths that no request can have
 */
export function parsePattern(path: string, kind: PatternKind): PathPattern {
  const tokens = tokenise(path);
  const builder = new AutomatonBuilder();
  let end = addTokens(builder, builder.start, tokens);
  end = builder.optional(end, (state) => builder.text(state, '/'));
  if (kind === 'mount') end = builder.optional(end, (state) => addSubtree(builder, path, state));
  const automaton = intersect(builder.build(end), EVERY_PATH);
  if (findText(automaton) === null) {
    throw new PluginLoadError(
      `the path ${JSON.stringify(path)} can match no request: it has to begin with "/"`,
    );
  }
  return { path, kind, automaton };
}

/** A request path that both patterns match, or `null` when there is none. */
export function findOverlap(a: PathPattern, b: PathPattern): string | null {
  return findText(intersect(a.automaton, b.automaton));
}

/**
 * Whether two Express 5 paths can match one and the same request path. Decided, not sampled: the paths' automata are
 * intersected.
 *
 * @throws PluginLoadError `plugin_load`, when one of them is no path
 *
 * @example
 * ```ts
 * patternsOverlap('/x/:id', '/X/new/'); // true
 * patternsOverlap('/x/:id', '/x/y/z'); // false
 * ```
 */
export function patternsOverlap(a: string, b: string): boolean {
  return findOverlap(parsePattern(a, 'route'), parsePattern(b, 'route')) !== null;
}

function tokenise(path: unknown): readonly Token[] {
  if (typeof path !== 'string') {
    throw new PluginLoadError(
      `expected a path as a string, saw ${path instanceof RegExp ? 'a RegExp' : typeof path}`,
    );
  }
  // The router removes trailing slashes before it parses.
  const loosened = path === '/' ? path : path.replace(/\/+$/, '');
  try {
    pathToRegexp(loosened);
    return parse(loosened).tokens;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/; visit .*$/, '') : String(error);
    throw new PluginLoadError(
      `the path ${JSON.stringify(path)} is not one that Express understands: ${reason}`,
      {
        cause: error,
        hint: 'Express 5 knows :parameters, *wildcards and {optional} parts; a backslash escapes any other character.',
      },
    );
  }
}

function addTokens(builder: AutomatonBuilder, from: number, tokens: readonly Token[]): number {
  return tokens.reduce((state, token) => addToken(builder, state, token), from);
}

function addToken(builder: AutomatonBuilder, from: number, token: Token): number {
  if (token.type === 'text') return builder.text(from, token.value);
  if (token.type === 'param') return builder.oneOrMore(from, 'segment');
  if (token.type === 'wildcard') return builder.oneOrMore(from, 'any');
  return builder.optional(from, (state) => addTokens(builder, state, token.tokens));
}

/** Below a mount at `/` lies everything. */
function addSubtree(builder: AutomatonBuilder, path: string, from: number): number {
  const below = path === '/' ? from : builder.text(from, '/');
  return builder.oneOrMore(below, 'any');
}

function buildEveryPath(): Automaton {
  const builder = new AutomatonBuilder();
  const slash = builder.text(builder.start, '/');
  return builder.build(builder.optional(slash, (state) => builder.oneOrMore(state, 'any')));
}

const EVERY_PATH: Automaton = buildEveryPath();
