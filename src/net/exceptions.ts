import ipaddr from 'ipaddr.js';
import { ConfigError } from '../errors.ts';
import { type AddressKind, classifyAddress, nat64Target } from './address.ts';
import { isOrIsBelow } from './hostname.ts';

/** The operator's exceptions to the outbound policy, `LLMROUTER_OUTBOUND_*`, as the configuration gives them. */
export interface OutboundRules {
  /** Admits addresses of kind `private`. */
  readonly allowPrivate: boolean;
  /** Lower-case host names or IP literals; `*.example.com` is every name below `example.com`. */
  readonly hosts: readonly string[];
  /** CIDR ranges. */
  readonly cidrs: readonly string[];
  /** URL prefixes: an origin and a path, which matches at segment borders. */
  readonly urls: readonly string[];
}

/**
 * Who vouches for a destination: nobody, or the operator, who named its host or URL. A trusted destination may carry
 * an internal name and lie on a private, reserved or loopback address.
 */
export type Trust = 'none' | 'operator';

/** The exceptions, ready to be asked. */
export interface Exceptions {
  /** Whether the operator named this host or URL. `host` comes without brackets and trailing dot. */
  trustOf(url: URL, host: string): Trust;
  /**
   * Whether an address may be dialled. What holds, from weak to strong:
   *
   * - public: always
   * - private: `allowPrivate`, a trusted destination, or a range that covers it
   * - reserved (also 100.64.0.0/10): a trusted destination, or a range that covers it
   * - NAT64 (`64:ff9b::/96`): a range that covers it, and the IPv4 address behind it is admitted too
   * - loopback: a trusted destination, or a range that lies within loopback (so `0.0.0.0/0` does not open it)
   * - link-local: only a range that lies within link-local, because names under foreign control may point there
   * - metadata: only a range of exactly that one address
   * - unspecified, multicast, broadcast, wrapped: never
   */
  admits(address: string, trust: Trust): boolean;
}

interface Range {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly bits: number;
  /** The one kind that all its addresses have, `null` when they differ. */
  readonly kind: AddressKind | null;
  readonly single: boolean;
}

const KINDS_OPEN_TO_TRUST: ReadonlySet<AddressKind> = new Set(['private', 'reserved', 'loopback']);

/**
 * Reads the operator's exceptions.
 *
 * @throws ConfigError `config_invalid` when a range or URL prefix cannot be read
 */
export function createExceptions(rules: OutboundRules): Exceptions {
  const ranges = rules.cidrs.map(parseRange);
  const prefixes = rules.urls.map(parsePrefix);
  const hosts = rules.hosts.map((host) => host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, ''));

  function admits(address: string, trust: Trust): boolean {
    const kind = classifyAddress(address);
    if (kind === 'public') return true;
    if (kind === 'private' && rules.allowPrivate) return true;
    if (trust === 'operator' && KINDS_OPEN_TO_TRUST.has(kind)) return true;
    if (!ranges.some((range) => opens(range, address, kind))) return false;
    const target = nat64Target(address);
    return target === null || admits(target, trust);
  }

  return {
    trustOf: (url, host) =>
      hosts.some((pattern) => matchesHost(pattern, host)) || prefixes.some((prefix) => covers(prefix, url))
        ? 'operator'
        : 'none',
    admits,
  };
}

function opens(range: Range, text: string, kind: AddressKind): boolean {
  if (!contains(range, text)) return false;
  if (kind === 'private' || kind === 'reserved' || kind === 'nat64') return true;
  if (kind === 'loopback' || kind === 'link-local') return range.kind === kind;
  return kind === 'metadata' && range.single;
}

function contains(range: Range, text: string): boolean {
  const address = orNull(() => ipaddr.parse(text));
  if (address === null || address.kind() !== range.address.kind()) return false;
  return address.match(range.address, range.bits);
}

function parseRange(cidr: string): Range {
  const parsed = orNull(() => ipaddr.parseCIDR(cidr));
  if (parsed === null) {
    throw new ConfigError([`LLMROUTER_OUTBOUND_CIDR_ALLOWLIST: ${JSON.stringify(cidr)} is not a CIDR range`]);
  }
  const [address, bits] = parsed;
  const family = address instanceof ipaddr.IPv6 ? ipaddr.IPv6 : ipaddr.IPv4;
  const first = classifyAddress(family.networkAddressFromCIDR(cidr).toString());
  const last = classifyAddress(family.broadcastAddressFromCIDR(cidr).toString());
  const single = bits === address.toByteArray().length * 8;
  return { address, bits, kind: first === last ? first : null, single };
}

function parsePrefix(text: string): URL {
  const prefix = orNull(() => new URL(text));
  if (prefix === null || prefix.search !== '' || prefix.hash !== '' || prefix.username !== '') {
    throw new ConfigError([
      `LLMROUTER_OUTBOUND_URL_ALLOWLIST: ${JSON.stringify(text)} is not a URL of scheme, host and path alone`,
    ]);
  }
  return prefix;
}

function matchesHost(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  const domain = pattern.slice(2);
  return host !== domain && isOrIsBelow(host, domain);
}

function covers(prefix: URL, url: URL): boolean {
  if (prefix.origin !== url.origin || !url.pathname.startsWith(prefix.pathname)) return false;
  const rest = url.pathname.slice(prefix.pathname.length);
  // An upstream may decode `..%2f` and leave the prefix: the exception does not follow it there.
  if (/%(?:2e|2f|5c|25)/i.test(rest)) return false;
  return rest === '' || prefix.pathname.endsWith('/') || rest.startsWith('/');
}

/** The result, or `null` when it throws: parsers here throw on whatever they cannot read. */
function orNull<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch {
    return null;
  }
}
