import type { DeploymentConfig } from '../../config/types.ts';
import type { LlmSurface } from '../../plugin-api/llm.ts';
import type { Surface } from '../surface/surface.ts';
import { SURFACES } from '../surface/table.ts';

type Header = readonly [name: string, value: string];

/** An API that upstreams speak over HTTP: which surfaces it has, where they are, and how it is asked. */
export interface HttpApi {
  /** Path and query of each of its surfaces on an upstream. */
  pathsOn(base: URL, deployment: Placed): ReadonlyMap<LlmSurface, string>;
  /** The header that shows the key. */
  credentials(key: string): Header;
  /** A header of the client's that every request has to have, and its value when the client does not send it. */
  readonly version: Header | null;
}

/** What the place of a surface may depend on. */
type Placed = Pick<DeploymentConfig, 'model' | 'apiVersion'>;

/** OpenAI's, as many others speak it. The version is a part of `api_base`. */
export const OPENAI_API: HttpApi = Object.freeze({
  pathsOn: ({ pathname, search }: URL) => pathsBelow('openai', pathname.replace(/\/$/, ''), search),
  credentials: (key: string): Header => ['authorization', `Bearer ${key}`],
  version: null,
});

/**
 * Anthropic's. Its `api_base` is the host's; with the version or with the whole path it is understood as well.
 * Source: Anthropic's API reference, headings "Authentication" and "Versions".
 */
export const ANTHROPIC_API: HttpApi = Object.freeze({
  pathsOn: ({ pathname, search }: URL) =>
    pathsBelow('anthropic', `${pathname.replace(/(\/v1(\/messages)?)?\/?$/, '')}/v1`, search),
  credentials: (key: string): Header => ['x-api-key', key],
  version: ['anthropic-version', '2023-06-01'] satisfies Header,
});

/** The version of Azure's API that is asked for when the configuration names none: the last one that is stable. */
const AZURE_VERSION = '2024-10-21';

/** Surfaces of Azure's older API that belong to a deployment; its path names it. */
const OF_AZURE_DEPLOYMENT: ReadonlySet<LlmSurface> = new Set<LlmSurface>([
  'chat.completions',
  'completions',
  'embeddings',
  'images.generations',
  'audio.speech',
  'audio.transcriptions',
]);

/**
 * OpenAI's API on Azure. An `api_base` that ends with `/openai/v1` is its version 1, which is OpenAI's own; any other is
 * the resource, below which every deployment has paths of its own. Source: Azure's reference, headings "REST API
 * versioning" and "Data plane inference".
 */
export const AZURE_API: HttpApi = Object.freeze({
  pathsOn: (base: URL, { model, apiVersion }: Placed) => {
    if (/\/openai\/v1\/?$/.test(base.pathname)) return OPENAI_API.pathsOn(base, { model, apiVersion });
    const resource = `${base.pathname.replace(/(\/openai)?\/?$/, '')}/openai`;
    const query = `?api-version=${encodeURIComponent(apiVersion ?? AZURE_VERSION)}`;
    const deployment = `${resource}/deployments/${encodeURIComponent(model)}`;
    const paths = SURFACES.filter(({ name }) => OF_AZURE_DEPLOYMENT.has(name)).map(
      ({ name, upstreamPath }) => [name, `${deployment}${upstreamPath}${query}`] as const,
    );
    return new Map([...paths, ['responses', `${resource}/responses${query}`] as const]);
  },
  credentials: (key: string): Header => ['api-key', key],
  version: null,
});

function pathsBelow(api: Surface['api'], base: string, search: string): ReadonlyMap<LlmSurface, string> {
  const surfaces = SURFACES.filter((surface) => surface.api === api);
  return new Map(surfaces.map(({ name, upstreamPath }) => [name, `${base}${upstreamPath}${search}`]));
}
