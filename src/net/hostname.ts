/**
 * Suffixes under which no public host lives, and what to call them. `home.arpa` and all other names below `arpa`
 * belong to the infrastructure; from `localdomain` on come names that networks use inside without having them reserved
 * (none of them is a public top-level domain).
 */
const INTERNAL_SUFFIXES: ReadonlyMap<string, string> = new Map([
  ['localhost', 'a loopback name (RFC 6761)'],
  ['local', 'a name of the local link (RFC 6762)'],
  ['arpa', 'an infrastructure name (RFC 8375, RFC 9665)'],
  ['internal', 'a name for private use (ICANN)'],
  ['test', 'a name for tests (RFC 6761)'],
  ['invalid', 'an invalid name (RFC 6761)'],
  ['example', 'a name for documents (RFC 6761)'],
  ['onion', 'a name outside the DNS (RFC 7686)'],
  ['alt', 'a name outside the DNS (RFC 9476)'],
  ['localdomain', 'an internal name'],
  ['svc', 'a name inside a cluster'],
  ...['lan', 'home', 'corp', 'intranet', 'private', 'domain', 'workgroup', 'consul'].map(
    (suffix) => [suffix, 'an internal name'] as const,
  ),
]);

/** Names under public domains that lead to metadata services. */
const METADATA_NAMES: readonly string[] = [
  'metadata.goog',
  'metadata.tencentyun.com',
  'metadata.oraclecloud.com',
  'metadata.packet.net',
  'metadata.platformequinix.com',
];

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * Why a host name may not be connected to, before any look-up: internal and metadata names, and names that DNS cannot
 * have. A public name passes here and is judged by its answers.
 *
 * @param name - as `URL.hostname` gives it (lower case, punycode), without the trailing dot; not an IP address
 * @returns what the name is, as the end of a sentence; `null` when it may be looked up
 *
 * @example
 * ```ts
 * hostnameProblem('db.internal'); // 'a name for private use (ICANN)'
 * hostnameProblem('api.openai.com'); // null
 * ```
 */
export function hostnameProblem(name: string): string | null {
  const labels = name.split('.');
  if (name.length > 253 || !labels.every((label) => LABEL.test(label))) return 'not a host name';
  const last = labels.at(-1) ?? '';
  const internal = INTERNAL_SUFFIXES.get(last);
  if (internal !== undefined) return internal;
  // Search domains of resolv.conf would complete it to a name of the inner network.
  if (labels.length === 1) return 'a name of one label';
  return METADATA_NAMES.some((metadata) => isOrIsBelow(name, metadata)) ? 'a metadata name' : null;
}

/** True when `name` is `domain` or one of its subdomains. */
export function isOrIsBelow(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
