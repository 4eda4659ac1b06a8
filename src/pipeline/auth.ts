import { type CallSite, type Containment, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import { frozenCopy } from '../freeze.ts';
import type { AuthProvider, AuthRequest, Identity } from '../plugin-api/auth.ts';
import type { RequestScope } from '../request-scope.ts';
import { Accounts, unavailable } from './accounts.ts';
import { enter, type Member } from './member.ts';
import type { Pipeline } from './types.ts';

interface Entry {
  readonly member: Member;
  /** `null`: a plugin that should authenticate but did not start. */
  readonly provider: AuthProvider | null;
  readonly site: CallSite<Identity | null>;
}

/**
 * The auth phase: providers in load order, the first identity wins. A provider that fails, is quarantined or did not
 * start lets nobody in who was not identified before it was asked. See docs/plugins.md, "When a plugin
 * fails".
 */
export function compileAuth(
  containment: Containment,
  members: readonly Member[],
): Pick<Pipeline, 'auth' | 'accounts'> {
  const entries = members.flatMap(entriesOf);
  if (entries.length === 0) return { auth: null, accounts: null };
  const keepsAccounts = entries.some(({ provider }) => provider?.reserve !== undefined);
  const accounts = keepsAccounts ? new Accounts(containment) : null;
  const phase = new AuthPhase(containment, entries, accounts);
  return { auth: (request, scope) => phase.authenticate(request, scope, 0), accounts };
}

class AuthPhase {
  readonly #containment: Containment;
  readonly #entries: readonly Entry[];
  readonly #accounts: Accounts | null;

  constructor(containment: Containment, entries: readonly Entry[], accounts: Accounts | null) {
    this.#containment = containment;
    this.#entries = entries;
    this.#accounts = accounts;
  }

  /** Asks the providers from `first` on. A promise only when one of them has to wait for something. */
  authenticate(
    request: AuthRequest,
    scope: RequestScope | null,
    first: number,
  ): Identity | Promise<Identity> {
    for (let index = first; index < this.#entries.length; index++) {
      const entry = this.#entries[index] as Entry;
      const identity = this.#ask(entry, request, scope);
      if (identity instanceof Promise) return this.#goOn(identity, request, scope, index);
      if (identity !== null) return this.#accept(entry, identity);
    }
    throw new GatewayError('authentication_error', 'No valid credentials were given');
  }

  async #goOn(
    asked: Promise<Identity | null>,
    request: AuthRequest,
    scope: RequestScope | null,
    index: number,
  ): Promise<Identity> {
    const entry = this.#entries[index] as Entry;
    let identity: Identity | null;
    try {
      identity = await asked;
    } catch (thrown) {
      throw refusal(entry.member, thrown);
    }
    return identity === null ? this.authenticate(request, scope, index + 1) : this.#accept(entry, identity);
  }

  #ask(
    { member, provider, site }: Entry,
    request: AuthRequest,
    scope: RequestScope | null,
  ): Identity | null | Promise<Identity | null> {
    if (provider === null) throw unavailable(member.name);
    try {
      return enter(this.#containment, member.gate, site, scope, () => provider.authenticate(request));
    } catch (thrown) {
      throw refusal(member, thrown);
    }
  }

  #accept({ member, provider }: Entry, identity: Identity): Identity {
    if (provider?.reserve !== undefined) this.#accounts?.open(identity, member, provider);
    return identity;
  }
}

function entriesOf(member: Member): Entry[] {
  if (member.bag !== null) return member.bag.authProviders.map((provider) => toEntry(member, provider));
  return member.guards.auth ? [toEntry(member, null)] : [];
}

function toEntry(member: Member, provider: AuthProvider | null): Entry {
  const name = provider?.name ?? member.name;
  const check = (value: unknown): Identity | null => checkIdentity(name, value);
  const site = { owner: member.owner, phase: 'auth' as const, what: `auth provider "${name}"`, check };
  return { member, provider, site };
}

/** What a provider answers is told to the client; what befalls it is not. */
function refusal(member: Member, thrown: unknown): unknown {
  return isAnswer(thrown) ? thrown : unavailable(member.name, thrown);
}

/**
 * What a provider has answered: a copy that it no longer holds. What it does to its object later changes nobody's
 * identity.
 *
 * @param provider its name, for who has no other
 * @throws Error that says what was seen and what is expected
 */
export function checkIdentity(provider: string, value: unknown): Identity | null {
  if (value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new Error(
      `saw ${value === undefined ? 'undefined' : typeof value}, expected an identity object or null`,
    );
  }
  const copy = frozenCopy(value) as Readonly<Record<string, unknown>>;
  if (Object.keys(copy).length === 0)
    throw new Error('saw an object without members, expected an identity or null');
  const id = copy.id ?? copy.sub ?? provider;
  if (typeof id === 'number') return Object.freeze({ ...copy, id: String(id) });
  if (typeof id !== 'string' || id === '')
    throw new Error("expected the identity's id to be a string that is not empty");
  return id === copy.id ? (copy as Identity) : Object.freeze({ ...copy, id });
}
