import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Parsed } from './parsers.ts';
import { show, showUrl } from './problems.ts';

const HOST = 'a host name such as api.example.com or *.example.com, without scheme, port and path';
const RANGE = 'an address range such as 10.1.0.0/16 or fd00::/8';
const PREFIX = 'a URL such as https://api.example.com/v1/, without user info, query and fragment';

/**
 * One entry of `LLMROUTER_OUTBOUND_HOST_ALLOWLIST`: lower case, punycode, without the trailing dot. Addresses are
 * refused, in any spelling that a URL reads as one: they belong in the list of ranges, where what they admit is plain.
 */
export function outboundHost(entry: string): Parsed<string> {
  const wildcard = entry.startsWith('*.');
  const name = wildcard ? entry.slice(2) : entry;
  if (name.includes('@')) return { expected: HOST, seen: 'an entry with user info (not shown)' };
  if (!/^[^\s\\/:?#%*[\]]+$/.test(name)) return { expected: HOST };
  const host = URL.parse(`http://${name}/`)?.hostname.replace(/\.$/, '');
  if (host === undefined || host === '' || host.includes('..')) return { expected: HOST };
  if (isIP(host) !== 0) {
    return { expected: `${HOST}; addresses belong in LLMROUTER_OUTBOUND_CIDR_ALLOWLIST` };
  }
  return { value: wildcard ? `*.${host}` : host };
}

/**
 * One entry of `LLMROUTER_OUTBOUND_CIDR_ALLOWLIST`, in its shortest spelling; a single address becomes a range of one.
 * Bits right of the prefix are refused rather than dropped, since one of the two numbers has to be wrong.
 */
export function outboundRange(entry: string): Parsed<string> {
  const [address = '', prefix, ...rest] = entry.split('/');
  const version = isIP(address);
  const bits = version === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : Number(prefix);
  // net.isIP takes zone ids, ipaddr.js takes octal and short forms: what is left is the strict spelling of both.
  if (version === 0 || address.includes('%') || rest.length > 0) return { expected: RANGE };
  if (prefix !== undefined && !/^\d{1,3}$/.test(prefix)) return { expected: RANGE };
  if (length > bits) return { expected: `${RANGE}, with a prefix of at most ${bits}` };
  return version === 4 ? range4(address, length) : range6(address, length);
}

/** One entry of `LLMROUTER_OUTBOUND_URL_ALLOWLIST`, as the URL standard writes it. */
export function outboundUrl(entry: string): Parsed<string> {
  const url = URL.parse(entry);
  const refused =
    url === null ||
    !['http:', 'https:'].includes(url.protocol) ||
    /[\s*\\]/.test(entry) ||
    /[?#]/.test(entry) ||
    url.username !== '' ||
    url.password !== '';
  return refused ? { expected: PREFIX, seen: showUrl(entry) } : { value: url.href };
}

function range4(address: string, length: number): Parsed<string> {
  const network = ipaddr.IPv4.networkAddressFromCIDR(`${address}/${length}`).toString();
  return asRange(ipaddr.IPv4.parse(address).toString(), network, length);
}

function range6(address: string, length: number): Parsed<string> {
  const parsed = ipaddr.IPv6.parse(address);
  // Addresses are compared after unwrapping, so that a wrapped range would silently never match.
  if (parsed.isIPv4MappedAddress()) return { expected: 'an IPv4 range instead of an IPv4-mapped one' };
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address}/${length}`).toString();
  return asRange(parsed.toString(), network, length);
}

function asRange(address: string, network: string, length: number): Parsed<string> {
  const value = `${network}/${length}`;
  return address === network
    ? { value }
    : { expected: `${show(value)}, the range that this address lies in, or a longer prefix` };
}
