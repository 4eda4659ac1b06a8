import { type Containment, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import type { AuthProvider, AuthRequest, Identity } from '../plugin-api/auth.ts';
import { Accounts, unavailable } from './accounts.ts';
import { invoke, type Member } from './member.ts';
import type { Pipeline } from './types.ts';

interface Entry {
  readonly member: Member;
  /** `null`: a plugin that should authenticate but did not start. */
  readonly provider: AuthProvider | null;
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
  const auth: Pipeline['auth'] = async (request) => {
    for (const { member, provider } of entries) {
      const identity = await ask(containment, { member, provider }, request);
      if (identity === null) continue;
      if (provider?.reserve !== undefined) accounts?.open(identity, member, provider);
      return identity;
    }
    throw new GatewayError('authentication_error', 'No valid credentials were given');
  };
  return { auth, accounts };
}

function entriesOf(member: Member): Entry[] {
  if (member.bag !== null) return member.bag.authProviders.map((provider) => ({ member, provider }));
  return member.guards.auth ? [{ member, provider: null }] : [];
}

async function ask(containment: Containment, entry: Entry, request: AuthRequest): Promise<Identity | null> {
  const { member, provider } = entry;
  if (provider === null) throw unavailable(member.name);
  const what = `auth provider "${provider.name}"`;
  const check = (value: unknown): Identity | null => checkIdentity(provider.name, value);
  try {
    return await invoke(
      containment,
      member.gate,
      { owner: member.owner, phase: 'auth', what, check },
      request.id,
      () => provider.authenticate(request),
    );
  } catch (thrown) {
    if (isAnswer(thrown)) throw thrown;
    throw unavailable(member.name, thrown);
  }
}

/** A copy that the provider no longer holds: what it does to its object later changes nobody's identity. */
function checkIdentity(provider: string, value: unknown): Identity | null {
  if (value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new Error(
      `saw ${value === undefined ? 'undefined' : typeof value}, expected an identity object or null`,
    );
  }
  const copy = structuredClone(value) as Record<string, unknown>;
  if (Object.keys(copy).length === 0)
    throw new Error('saw an object without members, expected an identity or null');
  const id = copy.id ?? copy.sub ?? provider;
  if (typeof id === 'number') return deepFreeze({ ...copy, id: String(id) });
  if (typeof id !== 'string' || id === '')
    throw new Error("expected the identity's id to be a string that is not empty");
  return deepFreeze({ ...copy, id });
}
