import type { DeploymentConfig } from '../../config/types.ts';
import type { EndOfTurn } from '../../end-of-turn.ts';
import type { ProviderPhase } from '../../pipeline/types.ts';
import type { ProviderDeployment } from '../../plugin-api/provider.ts';
import type { Candidate } from '../../plugin-api/routing.ts';
import { overMessages, overOpenAi, overProvider } from '../dialect/cross.ts';
import { ANTHROPIC_API, AZURE_API, type HttpApi, OPENAI_API } from './http-api.ts';
import { HttpUpstream } from './http-upstream.ts';
import { Pools } from './pools.ts';
import { createRedact, secretsOf } from './redact.ts';
import type { Upstream } from './upstream.ts';

/** The gateway's own providers: what they speak, and where they are when the configuration has no `api_base`. */
const OWN: ReadonlyMap<string, Own> = new Map<string, Own>(
  Object.entries({
    anthropic: { api: ANTHROPIC_API, base: 'https://api.anthropic.com' },
    openai: { api: OPENAI_API, base: 'https://api.openai.com/v1' },
    groq: { api: OPENAI_API, base: 'https://api.groq.com/openai/v1' },
    mistral: { api: OPENAI_API, base: 'https://api.mistral.ai/v1' },
    openrouter: { api: OPENAI_API, base: 'https://openrouter.ai/api/v1' },
    ollama: { api: OPENAI_API, base: 'http://127.0.0.1:11434/v1' },
    azure: { api: AZURE_API, base: null },
    vllm: { api: OPENAI_API, base: null },
    hosted_vllm: { api: OPENAI_API, base: null },
    openai_compatible: { api: OPENAI_API, base: null },
    openai_like: { api: OPENAI_API, base: null },
  }),
);

interface Own {
  readonly api: HttpApi;
  readonly base: string | null;
}

/** The providers that plugins contribute, by name. */
export type Providers = ReadonlyMap<string, ProviderPhase>;

/** Finds the upstream of a deployment among those of one pipeline generation, `null` when there is none. */
export type ResolveUpstream = (providers: Providers) => Upstream | null;

/** Makes the upstreams of deployments and owns their connections. */
export class Upstreams {
  readonly #pools: Pools;
  readonly #echo: ProviderPhase;

  constructor(echo: ProviderPhase, endOfTurn: EndOfTurn) {
    this.#echo = echo;
    this.#pools = new Pools(endOfTurn);
  }

  /**
   * The gateway's own providers are fixed; any other name belongs to the plugin that registered it, and without one
   * an `api_base` is taken for an OpenAI-compatible upstream.
   */
  resolver(config: DeploymentConfig, candidate: Candidate): ResolveUpstream {
    const { provider } = config;
    const deployment = toProviderDeployment(config, candidate);
    const redact = createRedact(secretsOf(config));
    if (provider === 'echo') return fixed(overProvider(this.#echo, deployment, redact));
    const own = OWN.get(provider);
    const base = config.apiBase ?? own?.base ?? null;
    const http = base === null ? null : this.#http(config, own?.api ?? OPENAI_API, new URL(base));
    if (own !== undefined) return fixed(http);
    return ofPlugin(provider, http, (plugin) => overProvider(plugin, deployment, redact));
  }

  #http(config: DeploymentConfig, api: HttpApi, base: URL): Upstream {
    const native = new HttpUpstream(config, api, base, this.#pools);
    return api === ANTHROPIC_API ? overMessages(native, config) : overOpenAi(native, config);
  }

  close(): Promise<void> {
    return this.#pools.close();
  }
}

function toProviderDeployment(config: DeploymentConfig, candidate: Candidate): ProviderDeployment {
  const { apiBase, apiKey, headers } = config;
  return Object.freeze({ ...candidate, apiBase, apiKey, headers: Object.freeze({ ...headers }) });
}

/** Made once for each generation of the plugin: routing asks for it several times in a call. */
function ofPlugin(
  name: string,
  fallback: Upstream | null,
  make: (plugin: ProviderPhase) => Upstream,
): ResolveUpstream {
  let made: { readonly plugin: ProviderPhase; readonly upstream: Upstream } | null = null;
  return (providers) => {
    const plugin = providers.get(name);
    if (plugin === undefined) return fallback;
    if (made?.plugin !== plugin) made = { plugin, upstream: make(plugin) };
    return made.upstream;
  };
}

function fixed(upstream: Upstream | null): ResolveUpstream {
  return () => upstream;
}
