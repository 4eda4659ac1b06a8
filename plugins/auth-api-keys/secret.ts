import { hash, randomBytes } from 'node:crypto';

/** Tells people, and scanners for secrets, what such a text is. */
const PREFIX = 'sk-riq-';

/** A new key: 256 random bits. */
export function createSecret(): string {
  return PREFIX + randomBytes(32).toString('base64url');
}

/**
 * What is kept of a key. Nobody finds 256 random bits by their SHA-256, so it needs neither salt nor a slow function;
 * and since a key is looked up by its digest, the time of a look-up tells nothing about how much of a guess was right.
 */
export function digestOf(secret: string): string {
  return hash('sha256', secret);
}
