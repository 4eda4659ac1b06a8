import { type Containment, ignoreResult, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import type { AuthProvider, Identity, Reservation, UsageEstimate, UsageOutcome } from '../plugin-api/auth.ts';
import type { StorageValue } from '../plugin-api/storage.ts';
import type { RequestScope } from '../request-scope.ts';
import { isStorageValue } from '../storage/canonical-json.ts';
import { invoke, type Member } from './member.ts';
import type { AccountsPhase, Reserved } from './types.ts';

interface Account {
  readonly member: Member;
  readonly provider: AuthProvider;
}

/** Knows which provider gave an identity, and asks that one what its caller may use. */
export class Accounts implements AccountsPhase {
  readonly #containment: Containment;
  /** By the frozen object itself: two providers may call two callers by one id. */
  readonly #accounts = new WeakMap<Identity, Account>();

  constructor(containment: Containment) {
    this.#containment = containment;
  }

  /** Takes down who gave an identity. */
  open(identity: Identity, member: Member, provider: AuthProvider): void {
    this.#accounts.set(identity, { member, provider });
  }

  async reserve(estimate: UsageEstimate, scope: RequestScope | null): Promise<Reserved | null> {
    const account = this.#accounts.get(estimate.identity);
    if (account === undefined) return null;
    const { member, provider } = account;
    const site = this.#site(account, 'reserve()', checkReservation);
    try {
      const found = await invoke(this.#containment, member.gate, site, scope, () =>
        provider.reserve?.(estimate),
      );
      return found === null ? null : this.#reserved(account, found, scope);
    } catch (thrown) {
      if (isAnswer(thrown)) throw thrown;
      throw unavailable(member.name, thrown);
    }
  }

  #reserved(account: Account, { ticket, headers = {} }: Reservation, scope: RequestScope | null): Reserved {
    // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
    const settle = (outcome: UsageOutcome): void => this.#settle(account, ticket, outcome, scope);
    return { headers, settle };
  }

  /** A failure is counted and blamed; what was reserved stays, so that nobody gets more than there is. */
  #settle(account: Account, ticket: StorageValue, outcome: UsageOutcome, scope: RequestScope | null): void {
    const site = this.#site(account, 'settle()', ignoreResult);
    const { member, provider } = account;
    invoke(this.#containment, member.gate, site, scope, () => provider.settle?.(ticket, outcome)).catch(
      ignoreResult,
    );
  }

  #site<T>({ member, provider }: Account, method: string, check: (value: unknown) => T) {
    return {
      owner: member.owner,
      phase: 'auth' as const,
      what: `auth provider "${provider.name}", ${method}`,
      check,
    };
  }
}

/** Nobody gets in. */
export function unavailable(plugin: string, cause?: unknown): GatewayError {
  return new GatewayError('auth_unavailable', 'Authentication is unavailable', { plugin, cause });
}

/**
 * What `reserve` has answered.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkReservation(value: unknown): Reservation | null {
  if (value === null) return null;
  if (typeof value !== 'object' || !Object.hasOwn(value, 'ticket'))
    throw new Error(`saw ${typeof value}, expected null or a reservation: { ticket, headers? }`);
  const { ticket } = value as { ticket: unknown };
  if (!isStorageValue(ticket)) throw new Error(`saw a ticket of type ${typeof ticket}, expected JSON`);
  return value as Reservation;
}
