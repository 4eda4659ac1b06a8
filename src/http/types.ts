import type winston from 'winston';
import type { Secret } from '../config/secret.ts';
import type { ServerConfig } from '../config/types.ts';
import type { PluginState } from '../lifecycle/states.ts';
import type { PluginView, ReloadReport } from '../lifecycle/view.ts';
import type { Pipeline } from '../pipeline/types.ts';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import type { HttpStats } from './stats.ts';

/** What the HTTP surface needs from the rest of the gateway. */
export interface HttpServerDeps {
  readonly server: ServerConfig;
  /** Bearer key of `/admin/…`. `null`: all of it answers 404. */
  readonly adminKey: Secret | null;
  /** True: `Server-Timing` on answers, causes with stacks in the log. */
  readonly debug: boolean;
  /** The current generation, asked once per request. `null` while the plugins are starting. */
  readonly pipeline: () => Pipeline | null;
  /** Resolves when the start is over, well or badly: requests that arrive before wait for it. */
  readonly started: Promise<void>;
  readonly dataPlane: DataPlane;
  readonly mcp: McpServer;
  readonly plugins: PluginControl;
  /** The text that `GET /metrics` answers. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly log: winston.Logger;
  /** Deviations from {@link HTTP_TIMEOUTS}. */
  readonly timeouts?: Partial<HttpTimeouts>;
}

/** The gateway's listener. */
export interface HttpServer {
  /**
   * Starts to listen.
   *
   * @throws ConfigError `config_invalid`, naming `PORT` or `LLMROUTER_HOST`, when the address cannot be had
   */
  listen(): Promise<{ readonly port: number }>;
  /**
   * Stops accepting, closes idle connections and waits for running answers; those that outlast `timeoutMs` are cut
   * and counted. Further calls return the first one's promise.
   */
  drain(timeoutMs: number): Promise<{ readonly cut: number }>;
  /** Resolves when every request that is under way at the call has been answered, or its client has gone. */
  settled(): Promise<void>;
  /** Counts of answers, for `/metrics`. */
  readonly stats: HttpStats;
}

/** How long a client may keep the server waiting. Every time-out closes the connection. */
export interface HttpTimeouts {
  /** From the connection, or the first byte of a further request, to the end of its header. */
  readonly headersMs: number;
  /** Credit of a body: it runs down with time and is earned back by {@link minBodyBytesPerSecond}. */
  readonly bodyMs: number;
  /** A body that comes slower than this uses up its credit; a faster one may take as long as it likes. */
  readonly minBodyBytesPerSecond: number;
  /** A kept-alive connection without a request. Node adds one second to what it tells the client. */
  readonly keepAliveMs: number;
  /** How often the above is looked at, so how late a time-out may be. */
  readonly checkMs: number;
}

/** Serves one request of the data plane. Its rejection is answered by the caller. */
export type DataPlaneHandler = (
  req: GatewayRequest,
  res: GatewayResponse,
  pipeline: Pipeline,
) => Promise<void>;

/** The table of the data plane's paths. */
export interface DataPlane {
  /** `path` is without the query. `null`: not one of the data plane's. */
  find(method: string, path: string): DataPlaneHandler | null;
}

/** The tools of all plugins, as an MCP server. */
export interface McpServer {
  /** Serves one request for `/mcp`. Its rejection is answered by the caller. */
  handle(req: GatewayRequest, res: GatewayResponse, pipeline: Pipeline): Promise<void>;
}

/** What `/admin` and `/readyz` may ask of the plugin host. */
export interface PluginControl {
  list(): { readonly order: readonly string[]; readonly plugins: readonly PluginView[] };
  get(name: string): PluginView | null;
  /** @throws GatewayError `not_found`; `conflict` when the plugin is not quarantined */
  release(name: string): Promise<PluginView>;
  /** @throws GatewayError `not_found`; `conflict` when the plugin is not running */
  quarantine(name: string, cause: string): Promise<PluginView>;
  /**
   * Loads one plugin anew, or (`null`) all that have changed on the disk. Reloads wait for each other.
   *
   * @throws GatewayError `not_found`; ReloadFailedError `plugin_reload_failed`: nothing has changed
   */
  reload(name: string | null): Promise<ReloadReport>;
  readiness(): Promise<Readiness>;
}

/** The body of `GET /readyz`. */
export interface Readiness {
  readonly status: 'ready' | 'starting' | 'draining';
  readonly plugins: Readonly<Record<string, PluginReadiness>>;
}

export interface PluginReadiness {
  readonly state: PluginState;
  /** What the plugin's health check said; `null`: it has none, or does not run. */
  readonly health: string | null;
}
