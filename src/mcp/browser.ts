import { isIP } from 'node:net';
import { GatewayError } from '../errors.ts';
import type { GatewayRequest } from '../wire/message.ts';

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * Keeps web pages from calling tools with the rights of whoever looks at them. A page of another site says so in
 * `Origin`. A page whose own name has been pointed at this machine (DNS rebinding) seems to come from the same site: its
 * name gives it away, where the gateway is reached over the loopback interface and asks for no credentials. Source: MCP
 * specification 2025-11-25, "Streamable HTTP", heading "Security Warning".
 *
 * @throws GatewayError `permission_error`
 */
export function checkBrowser(req: GatewayRequest, listenHost: string, isAuthenticated: boolean): void {
  const { origin, host = '' } = req.headers;
  const isOwn = (name: string | null): boolean =>
    name !== null && (LOOPBACK.has(name) || name === listenHost.toLowerCase());
  if (origin !== undefined && !isOwn(hostOf(origin))) {
    throw refused(`Pages of ${JSON.stringify(origin)} may not use the tools of this gateway`);
  }
  if (isAuthenticated || !isLoopback(req.socket.localAddress)) return;
  const name = hostOf(`http://${host}`);
  if (isOwn(name) || isAddress(name)) return;
  throw refused(`This gateway is reached as ${JSON.stringify(host)}, expected localhost`);
}

function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null;
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/.test(address);
}

/** No name, so nothing that could be pointed elsewhere. */
function isAddress(host: string | null): boolean {
  return host !== null && isIP(host.replace(/^\[|\]$/g, '')) !== 0;
}

function refused(message: string): GatewayError {
  return new GatewayError('permission_error', message);
}
