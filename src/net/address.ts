import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * What an address is to the outbound policy. Only `public` is admitted without an exception.
 *
 * - `private`: RFC 1918 and RFC 4193; what `ALLOW_PRIVATE` admits
 * - `metadata`: a cloud's metadata or host service, wherever it lies
 * - `nat64`: an IPv4 address behind the well-known prefix `64:ff9b::/96` (RFC 6052), see {@link nat64Target}
 * - `wrapped`: an IPv4 address inside any other IPv6 form (mapped, compatible, translated, local NAT64, 6to4, Teredo,
 *   ISATAP): one address under many names, and nothing public needs them
 * - `reserved`: everything else of the IANA special-purpose registries, 100.64.0.0/10 (RFC 6598: the provider's, not
 *   the operator's) and all IPv6 outside 2000::/3
 * - `invalid`: no address at all, or one with a zone id
 */
export type AddressKind =
  | 'public'
  | 'private'
  | 'loopback'
  | 'link-local'
  | 'metadata'
  | 'unspecified'
  | 'multicast'
  | 'broadcast'
  | 'nat64'
  | 'wrapped'
  | 'reserved'
  | 'invalid';

/** ipaddr.js's range names; a name that is not here is `reserved`, so that a new release never opens anything. */
const KINDS: ReadonlyMap<string, AddressKind> = new Map([
  ['unicast', 'public'],
  ['private', 'private'],
  ['uniqueLocal', 'private'],
  ['loopback', 'loopback'],
  ['linkLocal', 'link-local'],
  ['unspecified', 'unspecified'],
  ['multicast', 'multicast'],
  ['broadcast', 'broadcast'],
  ['ipv4Mapped', 'wrapped'],
  ['rfc6145', 'wrapped'],
  ['6to4', 'wrapped'],
  ['teredo', 'wrapped'],
]);

/**
 * Services that hand out credentials to whoever can reach them, in ipaddr.js's spelling. Those below 169.254.0.0/16
 * are listed too: an operator's exception for link-local must not open them by the way.
 */
const METADATA: ReadonlySet<string> = new Set([
  '169.254.169.254', // AWS, Azure, Google, Oracle, OpenStack, DigitalOcean, Hetzner
  '169.254.170.2', // AWS ECS task credentials
  '169.254.170.23', // AWS EKS pod identity
  '169.254.0.23', // Tencent
  '169.254.42.42', // Scaleway
  '100.100.100.200', // Alibaba, inside 100.64.0.0/10
  '168.63.129.16', // Azure's host service, inside public space
  '192.0.0.192', // Oracle classic
  'fd20:ce::254', // Google
  'fd00:42::42', // Scaleway
  'fd00:c1::a9fe:a9fe', // Oracle
]);

/**
 * Tells what an IP address is. The text is an address as `net.isIP` accepts it, without brackets; `URL` has already
 * turned decimal, octal, hexadecimal and short IPv4 spellings into the dotted one.
 *
 * @returns the kind; `invalid` for whatever is no address. Never throws.
 *
 * @example
 * ```ts
 * classifyAddress('8.8.8.8'); // 'public'
 * classifyAddress('::ffff:7f00:1'); // 'wrapped'
 * ```
 */
export function classifyAddress(text: string): AddressKind {
  // A zone id picks a network interface: never part of a public address.
  if (isIP(text) === 0 || text.includes('%')) return 'invalid';
  const address = ipaddr.parse(text);
  if (METADATA.has(address.toString())) return 'metadata';
  return address instanceof ipaddr.IPv6 ? classifyIPv6(address) : kindOf(address.range());
}

/**
 * The IPv4 address behind an address of kind `nat64`. Source: RFC 6052 section 2.2, the /96 row.
 *
 * @returns dotted IPv4, `null` for every other kind
 */
export function nat64Target(text: string): string | null {
  if (classifyAddress(text) !== 'nat64') return null;
  return ipaddr.parse(text).toByteArray().slice(12).join('.');
}

function classifyIPv6(address: ipaddr.IPv6): AddressKind {
  const parts = address.parts;
  const range: string = address.range();
  if (range === 'rfc6052') return parts[2] === 0 ? 'nat64' : 'wrapped';
  if (range === 'unspecified' || range === 'loopback') return kindOf(range);
  if (isCompatible(parts) || isIsatap(parts)) return 'wrapped';
  if (parts[0] === 0xfd00 && parts[1] === 0x0ec2) return 'metadata'; // fd00:ec2::/32, all of AWS's instance services
  const kind = kindOf(range);
  return kind === 'public' && !isGlobalUnicast(parts) ? 'reserved' : kind;
}

function kindOf(range: string): AddressKind {
  return KINDS.get(range) ?? 'reserved';
}

/** `::a.b.c.d`, RFC 4291 section 2.5.5.1. */
function isCompatible(parts: readonly number[]): boolean {
  return parts.slice(0, 6).every((part) => part === 0);
}

/** Any prefix, then the interface identifier `[00|02|01|03]00:5efe:a.b.c.d`, RFC 5214 section 6.1. */
function isIsatap(parts: readonly number[]): boolean {
  return ((parts[4] ?? 0) & 0xfcff) === 0 && parts[5] === 0x5efe;
}

/** 2000::/3, the only space that IANA hands out for global unicast. */
function isGlobalUnicast(parts: readonly number[]): boolean {
  return ((parts[0] ?? 0) & 0xe000) === 0x2000;
}
