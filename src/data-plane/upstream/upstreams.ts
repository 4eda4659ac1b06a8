import type { DeploymentConfig } from '../../config/types.ts';
import type { Provider } from '../../plugin-api/provider.ts';
import type { Candidate } from '../../plugin-api/routing.ts';
import { HttpUpstream } from './http-upstream.ts';
import { Pools } from './pools.ts';
import { ProviderUpstream } from './provider-upstream.ts';
import type { Upstream } from './upstream.ts';

/** Where these providers are when the configuration has no `api_base`. All of them speak OpenAI's API. */
const DEFAULT_BASES: ReadonlyMap<string, string | null> = new Map([
  ['openai', 'https://api.openai.com/v1'],
  ['groq', 'https://api.groq.com/openai/v1'],
  ['mistral', 'https://api.mistral.ai/v1'],
  ['openrouter', 'https://openrouter.ai/api/v1'],
  ['ollama', 'http://127.0.0.1:11434/v1'],
  ['azure', null],
  ['vllm', null],
  ['hosted_vllm', null],
  ['openai_compatible', null],
  ['openai_like', null],
]);

/** The providers that plugins contribute, by name. */
export type Providers = ReadonlyMap<string, Provider>;

/** Finds the upstream of a deployment among those of one pipeline generation, `null` when there is none. */
export type ResolveUpstream = (providers: Providers) => Upstream | null;

/** Makes the upstreams of deployments and owns their connections. */
export class Upstreams {
  readonly #pools = new Pools();
  readonly #echo: Provider;

  constructor(echo: Provider) {
    this.#echo = echo;
  }

  /**
   * The gateway's own providers are fixed; any other name belongs to the plugin that registered it, and without one
   * an `api_base` is taken for an OpenAI-compatible upstream.
   */
  resolver(config: DeploymentConfig, candidate: Candidate): ResolveUpstream {
    const { provider } = config;
    if (provider === 'echo') return fixed(new ProviderUpstream(this.#echo, candidate));
    const base = config.apiBase ?? DEFAULT_BASES.get(provider) ?? null;
    const http = base === null ? null : new HttpUpstream(config, new URL(base), this.#pools);
    if (DEFAULT_BASES.has(provider)) return fixed(http);
    return (providers) => {
      const plugin = providers.get(provider);
      return plugin === undefined ? http : new ProviderUpstream(plugin, candidate);
    };
  }

  close(): Promise<void> {
    return this.#pools.close();
  }
}

function fixed(upstream: Upstream | null): ResolveUpstream {
  return () => upstream;
}
