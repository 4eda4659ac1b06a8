import { list, type Parser } from './parsers.ts';

/** A row of the table that users read. */
export interface VariableDoc {
  readonly name: string;
  /** One line. */
  readonly meaning: string;
  /** The text that means the same as leaving the variable out; `null`: no text does. */
  readonly default: string | null;
  /** What there is to add to the default. */
  readonly note?: string;
}

/** An environment variable: what it means and how it is read. */
export interface Variable<T> extends VariableDoc {
  /** What it is when left out. */
  readonly fallback: T;
  /** True: a blank text is a value of its own, for example an empty list. False: it means left out. */
  readonly blankCounts: boolean;
  /** True: its text never shows in a message. */
  readonly secret: boolean;
  readonly parse: Parser<T>;
}

/**
 * A variable that has a default. `text` is that default as users read it, and what the fallback is parsed from, so that
 * the two cannot differ.
 */
export function variable<T>(
  name: string,
  meaning: string,
  text: string,
  parser: Parser<T>,
  note?: string,
  blankCounts = false,
): Variable<T> {
  const parsed = parser(text);
  if (!('value' in parsed)) throw new TypeError(`${name}: its own default ${text} is not ${parsed.expected}`);
  const extra = note === undefined ? {} : { note };
  return Object.freeze({
    name,
    meaning,
    default: text,
    fallback: parsed.value,
    blankCounts,
    secret: false,
    parse: parser,
    ...extra,
  });
}

/** A variable that is a list: blank is the empty list, whatever the default is. */
export function listing(
  name: string,
  meaning: string,
  text: string,
  parser: Parser<readonly string[]> = list,
): Variable<readonly string[]> {
  return variable(name, meaning, text, parser, undefined, true);
}

/** A variable without a default: `null` when left out. */
export function optional<T>(
  name: string,
  meaning: string,
  parser: Parser<T>,
  options: { readonly note?: string; readonly blankCounts?: boolean; readonly secret?: boolean } = {},
): Variable<T | null> {
  return Object.freeze({
    blankCounts: false,
    secret: false,
    ...options,
    name,
    meaning,
    default: null,
    fallback: null,
    parse: parser,
  });
}
