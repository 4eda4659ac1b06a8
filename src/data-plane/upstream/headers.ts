import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { connectionOptions, HOP_BY_HOP } from '../../wire/headers.ts';

/**
 * What of a client's headers reaches an upstream. A list of the permitted: credentials come in ever new names, and
 * `openai-organization` would let a client choose whom the gateway's key is charged to.
 */
const FORWARDED = ['user-agent', 'openai-beta', 'anthropic-beta', 'idempotency-key'] as const;

/** The head of an upstream's answer as the HTTP client gives it, or as a provider wrote it. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Adds the client's permitted headers to `target`, a flat list of names and values. */
export function addClientHeaders(target: string[], headers: IncomingHttpHeaders): void {
  const dropped = connectionOptions(headers.connection);
  for (const name of FORWARDED) {
    const value = headers[name];
    if (typeof value === 'string' && dropped?.has(name) !== true) target.push(name, value);
  }
}

/** Adds a header that an API asks for, with the client's value if it has sent a sane one. */
export function addVersion(
  target: string[],
  headers: IncomingHttpHeaders,
  [name, fallback]: readonly [name: string, value: string],
): void {
  const value = headers[name];
  target.push(name, typeof value === 'string' && value !== '' ? value : fallback);
}

/** Names an upstream may not set: of the connection, of the gateway itself, or of its security policy. */
const WITHHELD: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'content-length',
  'content-encoding',
  'date',
  'server',
  'x-powered-by',
  'set-cookie',
  'alt-svc',
  'clear-site-data',
  'location',
  'nel',
  'report-to',
  'reporting-endpoints',
  'x-request-id',
  'x-llmrouter-deployment',
  'x-llmrouter-attempts',
  'x-llmrouter-overhead-ms',
  'content-security-policy',
  'content-security-policy-report-only',
  'cross-origin-embedder-policy',
  'cross-origin-opener-policy',
  'cross-origin-resource-policy',
  'origin-agent-cluster',
  'permissions-policy',
  'referrer-policy',
  'strict-transport-security',
  'x-content-type-options',
  'x-dns-prefetch-control',
  'x-download-options',
  'x-frame-options',
  'x-permitted-cross-domain-policies',
  'x-xss-protection',
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-expose-headers',
  'access-control-max-age',
]);

/** What of an upstream's headers reaches the client. Rate limits, `openai-*` and the like stay. */
export function toClientHeaders(headers: AnswerHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  const dropped = connectionOptions(headers.connection);
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || WITHHELD.has(name) || dropped?.has(name) === true) continue;
    kept[name] = value;
  }
  return kept;
}
