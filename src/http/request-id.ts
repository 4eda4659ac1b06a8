import { randomUUID } from 'node:crypto';

/** Longest id taken over from a client. */
const MAX_LENGTH = 128;

/**
 * The id of a request: the client's `x-request-id` if it is sane (1 to 128 letters, digits and `. _ : -`, so that it
 * can stand in a header, a log line or a file name as it is), else a new UUID. See README.md, "Paths".
 */
export function requestId(fromClient: string | string[] | undefined): string {
  return typeof fromClient === 'string' && isSane(fromClient) ? fromClient : randomUUID();
}

function isSane(id: string): boolean {
  return id.length <= MAX_LENGTH && /^[\w.:-]+$/.test(id);
}
