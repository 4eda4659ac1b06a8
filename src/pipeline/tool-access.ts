import type { Identity } from '../plugin-api/auth.ts';

/**
 * True when the caller's identity does not keep it from the tool. A claim `tools` that is no list of texts allows
 * nothing: it was meant to be a limit.
 */
export function mayCall(identity: Identity | null, tool: string): boolean {
  const allowed: unknown = identity?.tools;
  if (allowed === undefined) return true;
  return (
    Array.isArray(allowed) && allowed.some((glob) => typeof glob === 'string' && matchesGlob(glob, tool))
  );
}

/** `*` stands for any characters, also none. No regular expression: a claim must not be able to make one that is slow. */
function matchesGlob(glob: string, name: string): boolean {
  const [head = '', ...rest] = glob.split('*');
  const tail = rest.pop();
  if (tail === undefined) return glob === name;
  if (!name.startsWith(head)) return false;
  let at = head.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return name.length - tail.length >= at && name.endsWith(tail);
}
