import { isIP, type LookupFunction, type Socket } from 'node:net';
import { buildConnector } from 'undici';
import { toError } from '../errors.ts';
import type { Destination } from './destination.ts';
import type { Trust } from './exceptions.ts';
import type { AddressGuard } from './guard.ts';

/** What a connector of one kind of connection needs. */
export interface ConnectorOptions {
  readonly guard: AddressGuard;
  /** Of all connections it opens: pools of different trust are never shared. */
  readonly trust: Trust;
  readonly connectTimeoutMs: number;
}

/**
 * Opens sockets for undici under the outbound policy, at the last moment before a packet leaves and after every
 * redirect. Three checks, because each alone has a hole: a literal never reaches `lookup`; a name's answers may have
 * changed since it was validated; and the address at the other end is the one that counts.
 *
 * The name stays the connection's host, so that TLS asks for it (SNI) and checks the certificate against it, and Node
 * tries the checked addresses in turn (RFC 8305).
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { guard, trust } = options;
  const connect = buildConnector({
    lookup: guardedLookup(guard, trust),
    autoSelectFamily: true,
    allowH2: false,
    timeout: options.connectTimeoutMs,
  }) as (target: buildConnector.Options, callback: buildConnector.Callback) => Socket;

  return (target, callback) => {
    const destination = describeTarget(target.hostname, trust);
    const refusal = destination.isLiteral
      ? refusalOf(() => guard.check(destination.host, destination))
      : null;
    if (refusal !== null) {
      // Never from within the call: undici has not finished its own bookkeeping yet.
      queueMicrotask(() => callback(refusal, null));
      return;
    }
    const socket = connect({ ...target, hostname: destination.host, socketPath: null }, callback);
    // Before all other listeners: TLS would send its first bytes from one of them.
    socket.prependOnceListener('connect', () => {
      const dialled = refusalOf(() => guard.check(socket.remoteAddress ?? '', destination));
      if (dialled !== null) socket.destroy(dialled);
    });
  };
}

function guardedLookup(guard: AddressGuard, trust: Trust): LookupFunction {
  return (hostname, _options, callback) => {
    guard.resolve(describeTarget(hostname, trust)).then(
      (answers) => callback(null, [...answers]),
      (error: unknown) => callback(toError(error), []),
    );
  };
}

function describeTarget(hostname: string, trust: Trust): Pick<Destination, 'host' | 'isLiteral' | 'trust'> {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return { host, isLiteral: isIP(host) !== 0, trust };
}

function refusalOf(check: () => void): Error | null {
  try {
    check();
    return null;
  } catch (error) {
    return toError(error);
  }
}
