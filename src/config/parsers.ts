import { isAbsolute } from 'node:path';
import { PLUGIN_CAPABILITIES, type PluginCapability } from '../plugin-api/capability.ts';
import type { IsolationTier } from '../plugin-api/metadata.ts';
import { likely } from './env-name.ts';
import { Secret } from './secret.ts';
import type { Granted, IsolationPolicy, PermissionGrants } from './types.ts';

/** What a parser makes of a text: its value, or what it should have been (and which part of it is to blame). */
export type Parsed<T> =
  | { readonly value: T }
  | {
      readonly expected: string;
      /** The part to blame, as it may be shown. Default: the whole text. */
      readonly seen?: string;
    };

/** Reads a trimmed text. Pure. */
export type Parser<T> = (text: string) => Parsed<T>;

/** Any text. */
export function text(value: string): Parsed<string> {
  return { value };
}

/** Comma-separated texts: trimmed, without blanks, the first of equals kept. */
export function list(value: string): Parsed<readonly string[]> {
  return { value: splitList(value) };
}

/** Comma-separated texts, each read by `item`; the first bad one is named. */
export function listOf<T>(item: Parser<T>): Parser<readonly T[]> {
  return (value) => {
    const values = new Set<T>();
    for (const part of splitList(value)) {
      const parsed = item(part);
      if (!('value' in parsed))
        return { expected: parsed.expected, seen: parsed.seen ?? JSON.stringify(part) };
      values.add(parsed.value);
    }
    return { value: [...values] };
  };
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number, unit = ''): Parser<number> {
  const expected = `a whole number from ${min} to ${max}${unit && ` (${unit})`}`;
  return (value) => {
    const number = Number(value);
    return /^\d+$/.test(value) && number >= min && number <= max ? { value: number } : { expected };
  };
}

/** `true` or `false` (`1` or `0`), in any case. */
export function flag(value: string): Parsed<boolean> {
  const lower = value.toLowerCase();
  if (lower === 'true' || lower === '1') return { value: true };
  if (lower === 'false' || lower === '0') return { value: false };
  return { expected: 'true or false' };
}

/** One of `choices`, in any case. */
export function oneOf<T extends string>(choices: readonly T[]): Parser<T> {
  return (value) => {
    const choice = choices.find((candidate) => candidate === value.toLowerCase());
    return choice === undefined ? { expected: `one of ${choices.join(', ')}` } : { value: choice };
  };
}

/** A capability, by its exact name: a policy is no place for guesses. */
export function capability(value: string): Parsed<PluginCapability> {
  const found = PLUGIN_CAPABILITIES.find((candidate) => candidate === value);
  if (found !== undefined) return { value: found };
  const guess = likely(value.toUpperCase(), PLUGIN_CAPABILITIES);
  const hint = guess === undefined ? '' : ` (did you mean ${guess}?)`;
  return { expected: `capabilities of ${PLUGIN_CAPABILITIES.join(', ')}${hint}` };
}

/** A whole number of processes, or `auto`. */
export function workers(value: string): Parsed<number | 'auto'> {
  if (value.toLowerCase() === 'auto') return { value: 'auto' };
  const parsed = integer(1, 1024)(value);
  return 'value' in parsed ? parsed : { expected: `${parsed.expected}, or auto` };
}

/** A host name or an address to listen on, not a URL. */
export function listenHost(value: string): Parsed<string> {
  const ok = /^[\w.-]+$/.test(value) || /^[\da-f:.]+(%\w+)?$/i.test(value);
  return ok ? { value } : { expected: 'a host name or an IP address without brackets and port' };
}

/** A key that an `Authorization` header can carry. */
export function bearerKey(value: string): Parsed<Secret> {
  if (!/^[\x21-\x7e]+$/.test(value)) return { expected: 'printable ASCII characters without blanks' };
  return { value: new Secret(value) };
}

function splitList(value: string): readonly string[] {
  const parts = value.split(',').map((part) => part.trim());
  return [...new Set(parts.filter((part) => part !== ''))];
}

/** `inline`, `process`, and `name=inline` or `name=process` for single plugins, comma-separated. */
export function isolation(value: string): Parsed<IsolationPolicy> {
  let all: IsolationTier = 'inline';
  const byName = new Map<string, IsolationTier>();
  for (const part of splitList(value)) {
    const [first = '', second, ...rest] = part.split('=').map((side) => side.trim());
    const tier = toTier(second ?? first);
    if (tier === null || rest.length > 0 || (second !== undefined && first === ''))
      return { expected: 'inline or process, or a list of name=process', seen: JSON.stringify(part) };
    if (second === undefined) all = tier;
    else byName.set(first, tier);
  }
  return { value: { all, byName } };
}

function toTier(text: string): IsolationTier | null {
  const lower = text.toLowerCase();
  return lower === 'inline' || lower === 'process' ? lower : null;
}

/** `name:net`, `name:read=<path>` and `name:write=<path>`, comma-separated. Paths are absolute. */
export function permissions(value: string): Parsed<PermissionGrants> {
  const grants = new Map<string, Granted>();
  for (const part of splitList(value)) {
    const [, name, kind, path = ''] = /^([^:=]+):(net|read|write)(?:=(.+))?$/.exec(part) ?? [];
    if (name === undefined || (kind === 'net') !== (path === '') || (path !== '' && !isAbsolute(path)))
      return { expected: 'name:net, name:read=/a/path or name:write=/a/path', seen: JSON.stringify(part) };
    const { net, read, write } = grants.get(name) ?? { net: false, read: [], write: [] };
    grants.set(name, {
      net: net || kind === 'net',
      read: kind === 'read' ? [...read, path] : read,
      write: kind === 'write' ? [...write, path] : write,
    });
  }
  return { value: grants };
}
