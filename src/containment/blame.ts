import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Owner } from './owner.ts';

/**
 * The owner whose files appear first in an error's stack. It finds what asynchronous context loses, for example a
 * listener on an emitter of the gateway. Only the innermost plugin frame counts: a plugin that calls another's code
 * is not to blame for it.
 */
export function blameByStack(error: unknown, owners: Iterable<Owner>): Owner | undefined {
  const known = [...owners];
  for (const path of stackPaths(error)) {
    const owner = ownerOfPath(path, known);
    if (owner !== undefined) return owner;
  }
  return undefined;
}

/** The owner with the deepest folder around `path`: plugins may lie inside each other's folders. */
export function ownerOfPath<T extends Pick<Owner, 'root'>>(path: string, owners: Iterable<T>): T | undefined {
  let found: T | undefined;
  for (const owner of owners) {
    if (owner.root === null || !isWithin(path, owner.root)) continue;
    if (found?.root == null || owner.root.length > found.root.length) found = owner;
  }
  return found;
}

function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** File paths in the frames of a stack, innermost first. A hostile `stack` getter yields none. */
function stackPaths(error: unknown): string[] {
  return stackOf(error).split('\n').flatMap(locationOf).map(toPath);
}

/** Where the location begins in a frame as V8 prints it: `at name (location)`, `at location`, `at async location`. */
const BEGIN = /(?:^\s+at (?:async )?| \()(?=file:\/\/|\/|[A-Za-z]:\\)/;
const END = /:\d+:\d+\)?$/;

/** Two searches rather than one pattern: messages are part of stacks, and clients may have had a hand in them (ReDoS). */
function locationOf(line: string): string[] {
  if (!/^\s+at /.test(line)) return [];
  const begin = BEGIN.exec(line);
  const end = line.search(END);
  return begin === null || end === -1 ? [] : [line.slice(begin.index + begin[0].length, end)];
}

function stackOf(error: unknown): string {
  try {
    const stack = (error as { stack?: unknown } | null)?.stack;
    return typeof stack === 'string' ? stack : '';
  } catch {
    return '';
  }
}

/** The path of a script's URL. Query strings on module URLs (reloaded generations) are not part of it. */
export function toPath(location: string): string {
  if (!location.startsWith('file://')) return location;
  try {
    return fileURLToPath(location.replace(/[?#].*$/, ''));
  } catch {
    return location;
  }
}
