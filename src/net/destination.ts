import { isIP } from 'node:net';
import { SSRFBlockedError } from '../errors.ts';
import type { AddressKind } from './address.ts';
import { classifyAddress } from './address.ts';
import type { Exceptions, Trust } from './exceptions.ts';
import { hostnameProblem } from './hostname.ts';

/** A URL that has passed every check that needs no look-up. */
export interface Destination {
  /** Normalised: what is dialled and what the caller gets back. */
  readonly url: URL;
  /** Host name or IP address, without brackets and trailing dot. */
  readonly host: string;
  readonly isLiteral: boolean;
  readonly trust: Trust;
}

/** Longer ones are refused: parsing is synchronous, and no server takes them. */
const MAX_URL_LENGTH = 16_384;

/** Control characters, which URL parsers drop and others do not. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;

/** Scheme, two slashes and an authority: the only shape that all URL parsers read alike. */
const SHAPE = /^ *https?:\/\/([^/?#\\]+)(?:[/?#]|$)/i;

/**
 * Parses a URL as a caller wrote it. Texts that the URL standard accepts but that other parsers read differently
 * (backslashes, tabs, missing slashes) are refused: the caller may hand the same text to another client.
 *
 * @throws SSRFBlockedError `ssrf_blocked`, reason `invalid_url`, `scheme` or `userinfo`
 */
export function parseOutboundUrl(input: string | URL): URL {
  // Taken once: an object could give another text at the next reading.
  const text = input instanceof URL ? input.href : input;
  if (typeof text !== 'string' || text.length > MAX_URL_LENGTH || CONTROL.test(text)) throw invalidUrl();
  const url = URL.parse(text);
  if (url === null) throw invalidUrl();
  requireScheme(url);
  const authority = SHAPE.exec(text)?.[1];
  if (authority === undefined) throw invalidUrl();
  if (authority.includes('@')) throw userinfoRefused();
  return url;
}

/**
 * Applies the policy to a URL, as far as it goes without a look-up: scheme, userinfo, port, host name, IP literal.
 *
 * @throws SSRFBlockedError `ssrf_blocked` with `reason`
 */
export function toDestination(parsed: URL, exceptions: Exceptions): Destination {
  requireScheme(parsed);
  if (parsed.username !== '' || parsed.password !== '') throw userinfoRefused();
  if (parsed.port === '0') throw invalidUrl();
  const url = withoutTrailingDot(parsed);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const destination = { url, host, isLiteral: isIP(host) !== 0, trust: exceptions.trustOf(url, host) };
  if (destination.isLiteral) requireAddress(host, destination, exceptions);
  else requireName(destination);
  return destination;
}

/**
 * Refuses an address that the destination may not be dialled at.
 *
 * @throws SSRFBlockedError `ssrf_blocked`, reason `address`
 */
export function requireAddress(
  address: string,
  destination: Pick<Destination, 'host' | 'isLiteral' | 'trust'>,
  exceptions: Exceptions,
): void {
  if (exceptions.admits(address, destination.trust)) return;
  const kind = classifyAddress(address);
  const verb = destination.isLiteral ? 'is' : 'resolves to';
  throw new SSRFBlockedError(
    'address',
    // The answer itself stays out of the message: it would tell a client how the inner network is numbered.
    `Outbound request refused: ${quote(destination.host)} ${verb} ${article(kind)} ${kind} address, expected a public one`,
    { hint: hintFor(kind), cause: new Error(`address ${address}`) },
  );
}

function requireScheme(url: URL): void {
  if (url.protocol === 'http:' || url.protocol === 'https:') return;
  throw new SSRFBlockedError(
    'scheme',
    `Outbound request refused: scheme ${quote(url.protocol)}, expected http: or https:`,
  );
}

function requireName(destination: Destination): void {
  const problem = destination.trust === 'operator' ? null : hostnameProblem(destination.host);
  if (problem === null) return;
  throw new SSRFBlockedError(
    'hostname',
    `Outbound request refused: ${quote(destination.host)} is ${problem}, expected a public host name`,
    { hint: 'If plugins may connect to it, add it to LLMROUTER_OUTBOUND_HOST_ALLOWLIST' },
  );
}

/** `example.com.` is `example.com` to DNS but not to certificates, virtual hosts and allowlists. */
function withoutTrailingDot(parsed: URL): URL {
  if (!parsed.hostname.endsWith('.')) return parsed;
  const url = new URL(parsed);
  url.hostname = parsed.hostname.slice(0, -1);
  return url;
}

function invalidUrl(): SSRFBlockedError {
  return new SSRFBlockedError(
    'invalid_url',
    'Outbound request refused: not an absolute URL, expected for example https://example.com/path',
  );
}

function userinfoRefused(): SSRFBlockedError {
  return new SSRFBlockedError(
    'userinfo',
    'Outbound request refused: the URL carries a user name or password, expected credentials in a header',
  );
}

function hintFor(kind: AddressKind): string | undefined {
  if (kind === 'wrapped' || kind === 'unspecified' || kind === 'invalid') return undefined;
  return 'If plugins may connect to it, add its range to LLMROUTER_OUTBOUND_CIDR_ALLOWLIST';
}

function article(kind: AddressKind): string {
  return /^[aeiou]/.test(kind) ? 'an' : 'a';
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
