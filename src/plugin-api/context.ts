import type { Logger } from 'winston';
import type { PluginMetrics } from './metrics.ts';
import type { ModelInfo } from './models.ts';
import type { Storage } from './storage.ts';
import type { Tool, ToolResult } from './tools.ts';

/**
 * A plugin's settings: the file's `plugins.<name>`, overlaid with `LLMROUTER_PLUGIN_<NAME>__<KEY>`, checked against
 * the settings schema. Frozen. Values are plain properties too (`settings.threshold`).
 */
export interface PluginSettings {
  /** The value of `key`, or `fallback` when it is not set. `get('debug')` follows `LLMROUTER_DEBUG`. */
  get<T = unknown>(key: string, fallback?: T): T;
  readonly [key: string]: unknown;
}

/** The loaded models. */
export interface PluginModels {
  list(): readonly ModelInfo[];
}

/** The tools of all tool runtimes. */
export interface PluginTools {
  list(): Promise<readonly Tool[]>;
  /** Never rejects because of a tool: a failing tool answers with `isError: true`. */
  call(name: string, args?: Readonly<Record<string, unknown>>): Promise<ToolResult>;
  /** For a tool runtime: its list of tools is another one now. Clients of `/mcp` are told to ask again. */
  changed(): void;
}

/** Options of `context.fetch`: those of the standard `fetch`. No option turns the outbound policy off. */
export interface OutboundInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>> | Headers | readonly (readonly [string, string])[];
  readonly body?:
    | string
    | Uint8Array
    | ArrayBuffer
    | URLSearchParams
    | ReadableStream<Uint8Array>
    | FormData
    | Blob
    | null;
  readonly redirect?: 'follow' | 'error' | 'manual';
  readonly signal?: AbortSignal | null;
  readonly [option: string]: unknown;
}

/**
 * What a plugin gets from the gateway. It belongs to one plugin: what that does to it no other sees. Source: the
 * plugin document, heading "Plugin Context".
 *
 * @example
 * ```ts
 * app.get('/weather', async (_req, res) => {
 *   const answer = await context.fetch(context.settings.get('url', 'https://api.example.com/weather'));
 *   context.logger.info('asked for the weather', { status: answer.status });
 *   res.status(answer.status).json(await answer.json());
 * });
 * ```
 */
export interface PluginContext {
  readonly settings: PluginSettings;
  /** Carries the plugin's name, and the request id while a request is served. */
  readonly logger: Logger;
  /**
   * Resolves to the normalised URL when plugins may connect to it.
   *
   * @throws SSRFBlockedError `ssrf_blocked`, with `reason`
   */
  validateOutboundUrl(url: string | URL): Promise<string>;
  /**
   * `fetch` under the outbound policy: applied to the address really dialled, on every redirect hop.
   *
   * @throws SSRFBlockedError `ssrf_blocked`, with `reason`
   */
  fetch(url: string | URL, init?: OutboundInit): Promise<Response>;
  /** This plugin's own namespace of the gateway's store. */
  readonly storage: Storage;
  readonly models: PluginModels;
  readonly tools: PluginTools;
  /** Counters, histograms and gauges in `/metrics`, prefixed with the plugin's name. */
  readonly metrics: PluginMetrics;
  /** Aborted when the plugin is about to be shut down. */
  readonly signal: AbortSignal;
}
