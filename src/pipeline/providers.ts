import { type CallSite, type Containment, isAnswer } from '../containment/containment.ts';
import { GatewayError } from '../errors.ts';
import type { Provider, ProviderResponse } from '../plugin-api/provider.ts';
import type { RequestScope } from '../request-scope.ts';
import { invoke, type Member } from './member.ts';
import {
  checkEmbeddingModel,
  checkLanguageModel,
  type Guarded,
  guardEmbeddingModel,
  guardLanguageModel,
} from './models.ts';
import type { ProviderPhase } from './types.ts';

/** Providers by name. One that fails is an upstream that fails: 502, or 504 when it hangs. */
export function compileProviders(
  containment: Containment,
  members: readonly Member[],
): ReadonlyMap<string, ProviderPhase> {
  const providers = new Map<string, ProviderPhase>();
  for (const member of members) {
    for (const [name, provider] of member.bag?.providers ?? []) {
      providers.set(name, new ContainedProvider(containment, member, name, provider).phase());
    }
  }
  return providers;
}

class ContainedProvider {
  readonly #containment: Containment;
  readonly #member: Member;
  readonly #name: string;
  readonly #provider: Provider;

  constructor(containment: Containment, member: Member, name: string, provider: Provider) {
    this.#containment = containment;
    this.#member = member;
    this.#name = name;
    this.#provider = provider;
  }

  /** What the provider does not have is `null`. */
  phase(): ProviderPhase {
    const provider = this.#provider;
    return Object.freeze({
      chat: has(provider, 'chat')
        ? (request, deployment, scope) =>
            this.#call(scope, checkResponse, () => provider.chat(request, deployment))
        : null,
      languageModel: has(provider, 'languageModel')
        ? async (deployment, scope) => {
            const make = (): unknown => provider.languageModel(deployment.model, deployment);
            const model = await this.#call(scope, checkLanguageModel, make);
            return guardLanguageModel(model, this.#guarded(scope));
          }
        : null,
      embeddingModel: has(provider, 'embeddingModel')
        ? async (deployment, scope) => {
            const make = (): unknown => provider.embeddingModel(deployment.model, deployment);
            const model = await this.#call(scope, checkEmbeddingModel, make);
            return guardEmbeddingModel(model, this.#guarded(scope));
          }
        : null,
    } satisfies ProviderPhase);
  }

  #guarded(scope: RequestScope | null): Guarded {
    return (check, fn) => this.#call(scope, check, fn);
  }

  async #call<T>(scope: RequestScope | null, check: (value: unknown) => T, fn: () => unknown): Promise<T> {
    const { owner, gate, name } = this.#member;
    // Not a literal in the object: V8 would keep what it sees. See docs/performance.md, "What was found".
    const checked = (value: unknown): T | Said => (value instanceof Said ? value : check(value));
    const site: CallSite<T | Said> = {
      owner,
      phase: 'provider',
      what: `provider "${this.#name}"`,
      check: checked,
    };
    let result: T | Said;
    try {
      result = await invoke(this.#containment, gate, site, scope, () => orSaid(fn));
    } catch (thrown) {
      if (isAnswer(thrown)) throw thrown;
      const timedOut = thrown instanceof Error && 'code' in thrown && thrown.code === 'plugin_timeout';
      const code = timedOut ? 'upstream_timeout' : 'upstream_error';
      throw new GatewayError(code, `The provider "${this.#name}" failed`, { plugin: name, cause: thrown });
    }
    if (result instanceof Said) throw result.error;
    return result;
  }
}

/** What an upstream said through the SDK: no failure of the plugin that has passed it on. */
class Said {
  readonly error: Error;

  constructor(error: Error) {
    this.error = error;
  }
}

async function orSaid(fn: () => unknown): Promise<unknown> {
  try {
    return await fn();
  } catch (thrown) {
    if (isOfSdk(thrown)) return new Said(thrown);
    throw thrown;
  }
}

/** By its name: several copies of the SDK may be loaded. An abort is the gateway's own doing. */
function isOfSdk(thrown: unknown): thrown is Error {
  return thrown instanceof Error && (thrown.name.startsWith('AI_') || thrown.name === 'AbortError');
}

function has<Name extends keyof Provider>(
  provider: Provider,
  name: Name,
): provider is Provider & Required<Pick<Provider, Name>> {
  return provider[name] !== undefined;
}

/**
 * What `chat` has answered.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkResponse(value: unknown): ProviderResponse {
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
