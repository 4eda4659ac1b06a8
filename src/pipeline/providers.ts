import { type Containment, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import type { Provider, ProviderResponse } from '../plugin-api/provider.ts';
import { invoke, type Member } from './member.ts';

/** Providers by name. One that fails is an upstream that fails: 502, or 504 when it hangs. */
export function compileProviders(
  containment: Containment,
  members: readonly Member[],
): ReadonlyMap<string, Provider> {
  const providers = new Map<string, Provider>();
  for (const member of members) {
    for (const [name, provider] of member.bag?.providers ?? []) {
      providers.set(name, contained(containment, member, name, provider));
    }
  }
  return providers;
}

function contained(containment: Containment, member: Member, name: string, provider: Provider): Provider {
  const what = `provider "${name}"`;
  const site = { owner: member.owner, phase: 'provider' as const, what, check: checkResponse };
  return {
    async chat(request, deployment) {
      try {
        return await invoke(containment, member.gate, site, request.id, () =>
          provider.chat(request, deployment),
        );
      } catch (thrown) {
        if (isAnswer(thrown)) throw thrown;
        const timedOut = thrown instanceof Error && 'code' in thrown && thrown.code === 'plugin_timeout';
        const code = timedOut ? 'upstream_timeout' : 'upstream_error';
        throw new GatewayError(code, `The provider "${name}" failed`, { plugin: member.name, cause: thrown });
      }
    },
  };
}

function checkResponse(value: unknown): ProviderResponse {
  const { status, headers, body } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  if (!Number.isInteger(status) || (status as number) < 200 || (status as number) > 599) {
    throw new Error(`saw status ${String(status)}, expected an integer from 200 to 599`);
  }
  if (typeof headers !== 'object' || headers === null) throw new Error('saw no headers, expected an object');
  if (typeof body === 'string' || body instanceof Uint8Array || isAsyncIterable(body))
    return value as ProviderResponse;
  throw new Error(`saw a body of type ${typeof body}, expected a string, bytes or an async iterable of them`);
}

function isAsyncIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
