import { isObject } from '../../json-value.ts';
import type { Metadata } from '../canonical.ts';

/**
 * The Responses API hands out reasoning with an opaque text, `encrypted_content`, that clients give back unread. It
 * carries what the provider wants to see again: signatures and the like. It is not encrypted: the provider itself
 * protects what needs to be, and checks it when it comes back.
 */
export function sealReasoning(metadata: Metadata | undefined): string | null {
  return metadata === undefined ? null : Buffer.from(JSON.stringify(metadata)).toString('base64url');
}

/** What {@link sealReasoning} has put in; `undefined` for content that comes from somewhere else. */
export function openReasoning(content: string | null): Metadata | undefined {
  if (content === null) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(content, 'base64url').toString());
    return isObject(value) && Object.values(value).every(isObject) ? (value as Metadata) : undefined;
  } catch {
    return undefined;
  }
}
