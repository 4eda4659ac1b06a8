import { promises as dns, type LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { SSRFBlockedError } from '../errors.ts';
import { type Destination, requireAddress } from './destination.ts';
import type { Exceptions } from './exceptions.ts';

/** Resolves a host name to all its addresses. Rejects when there are none. */
export type LookupAll = (hostname: string) => Promise<readonly LookupAddress[]>;

/** Judges the addresses of a destination; the same at validation and at connect. */
export interface AddressGuard {
  /**
   * Resolves to the addresses that may be dialled: the literal, or all answers for the name.
   *
   * @throws SSRFBlockedError `ssrf_blocked`: reason `address` when one of the answers is refused, since the next
   * look-up may pick that one; reason `dns` when there is no answer, not in time, or not one that can be read
   */
  resolve(destination: Pick<Destination, 'host' | 'isLiteral' | 'trust'>): Promise<readonly LookupAddress[]>;
  /** Refuses an address that was dialled. @throws SSRFBlockedError `ssrf_blocked`, reason `address` */
  check(address: string, destination: Pick<Destination, 'host' | 'isLiteral' | 'trust'>): void;
}

/** The system's resolver: all answers, in its own order, off the event loop. */
export const systemLookup: LookupAll = (hostname) => dns.lookup(hostname, { all: true, order: 'verbatim' });

export function createAddressGuard(
  exceptions: Exceptions,
  lookup: LookupAll,
  lookupTimeoutMs: number,
): AddressGuard {
  return {
    check: (address, destination) => requireAddress(address, destination, exceptions),

    async resolve(destination) {
      const { host, isLiteral } = destination;
      const answers = isLiteral
        ? [{ address: host, family: isIP(host) }]
        : await withDeadline(lookup, host, lookupTimeoutMs);
      for (const { address } of answers) requireAddress(address, destination, exceptions);
      return answers;
    },
  };
}

/** `getaddrinfo` cannot be cancelled: a late answer is dropped. */
async function withDeadline(
  lookup: LookupAll,
  host: string,
  timeoutMs: number,
): Promise<readonly LookupAddress[]> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return readAnswers(await Promise.race([lookup(host), late.promise]));
  } catch (cause) {
    throw new SSRFBlockedError(
      'dns',
      `Outbound request refused: ${JSON.stringify(host)} cannot be resolved`,
      {
        cause,
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** The family is read from the address itself, so that what is checked is what is dialled. */
function readAnswers(answers: readonly LookupAddress[]): readonly LookupAddress[] {
  if (answers.length === 0) throw new Error('the answer is empty');
  return answers.map(({ address }) => ({ address, family: isIP(address) }));
}
