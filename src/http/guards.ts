import { GatewayError } from '../errors.ts';
import type { GatewayRequest } from '../wire/message.ts';

/** RFC 3986, section 3.2.2, without user information and percent-encoding: nothing in HTTP needs them here. */
const HOST = /^(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;
const ABSOLUTE_FORM = /^https?:\/\/([^/?]*)(.*)$/is;

/**
 * Refuses what could be read one way here and another way by a proxy in front, and brings the target into origin-form.
 * Returns the target's path without the query.
 *
 * @param listenHost a name that absolute-form targets may have
 * @throws GatewayError `invalid_request` (400, 501), `misdirected_request`
 */
export function admitRequest(req: GatewayRequest, listenHost: string): string {
  checkHost(req);
  checkTransferCoding(req.headers['transfer-encoding']);
  req.url = toOriginForm(req, listenHost);
  return pathOf(req.url);
}

/** The path of an origin-form target. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/** @throws GatewayError `body_too_large`, before anything of the body has been read */
export function checkAnnouncedLength(req: GatewayRequest, limit: number): void {
  if (Number(req.headers['content-length'] ?? 0) > limit) throw bodyTooLarge(limit);
}

/** The answer to a body of more than `limit` bytes. */
export function bodyTooLarge(limit: number): GatewayError {
  return new GatewayError('body_too_large', `The request body is larger than ${limit} bytes`);
}

/** RFC 9112, section 3.2: exactly one valid Host; Node keeps the first of several and looks at none. */
function checkHost(req: GatewayRequest): void {
  const { host } = req.headers;
  if (host === undefined) {
    if (req.httpVersion === '1.0') return;
    throw invalid('The Host header is missing');
  }
  if (!HOST.test(host)) throw invalid('The Host header is not a host name with an optional port');
  if (countHosts(req.rawHeaders) > 1) throw invalid('There is more than one Host header');
}

function countHosts(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  return count;
}

/** RFC 9112, section 6.1. Node hands on any other coding unread, so that its bytes would pass for the body. */
function checkTransferCoding(coding: string | undefined): void {
  if (coding === undefined || coding.toLowerCase() === 'chunked') return;
  throw new GatewayError('invalid_request', 'The only transfer coding understood is "chunked"', {
    status: 501,
  });
}

function toOriginForm(req: GatewayRequest, listenHost: string): string {
  const target = req.url ?? '/';
  // A fragment never belongs to a target; URL parsers further down would disagree about where the path ends.
  if (target.includes('#')) throw invalid('The request target has a fragment');
  if (target.startsWith('/')) return target;
  if (target === '*' && req.method === 'OPTIONS') return target;
  return fromAbsoluteForm(req, target, listenHost);
}

/**
 * RFC 9112, section 3.2.2: a server accepts the absolute-form, which clients send to proxies only. It has to name this
 * server, in the Host header too, or somebody takes the gateway for a proxy or wants two readers to see two hosts.
 */
function fromAbsoluteForm(req: GatewayRequest, target: string, listenHost: string): string {
  const [, authority, rest] = ABSOLUTE_FORM.exec(target) ?? [];
  if (authority === undefined || rest === undefined || !HOST.test(authority)) {
    throw invalid('The request target is neither a path nor a valid http URL');
  }
  const host = authority.toLowerCase();
  if (host !== req.headers.host?.toLowerCase() || !isOwnHost(host.replace(/:\d+$/, ''), req, listenHost)) {
    throw new GatewayError(
      'misdirected_request',
      'This server does not serve the host of the request target',
    );
  }
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function isOwnHost(host: string, req: GatewayRequest, listenHost: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '');
  const local = req.socket.localAddress?.replace(/^::ffff:/, '');
  return ['localhost', '127.0.0.1', '::1', listenHost.toLowerCase(), local].includes(bare);
}

function invalid(message: string): GatewayError {
  return new GatewayError('invalid_request', message);
}
