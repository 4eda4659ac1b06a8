import type { LlmSurface } from '../../plugin-api/llm.ts';
import type { Surface } from '../surface/surface.ts';
import { SURFACES } from '../surface/table.ts';

type Header = readonly [name: string, value: string];

/** An API that upstreams speak over HTTP: which surfaces it has, where they are, and how it is asked. */
export interface HttpApi {
  /** Path and query of each of its surfaces on an upstream. */
  pathsOn(base: URL): ReadonlyMap<LlmSurface, string>;
  /** The header that shows the key. */
  credentials(key: string): Header;
  /** A header of the client's that every request has to have, and its value when the client does not send it. */
  readonly version: Header | null;
}

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

function pathsBelow(api: Surface['api'], base: string, search: string): ReadonlyMap<LlmSurface, string> {
  const surfaces = SURFACES.filter((surface) => surface.api === api);
  return new Map(surfaces.map(({ name, upstreamPath }) => [name, `${base}${upstreamPath}${search}`]));
}
