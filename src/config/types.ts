import type { PluginCapability } from '../plugin-api/capability.ts';
import type { FailureMode } from '../plugin-api/failure-mode.ts';
import type { IsolationTier } from '../plugin-api/metadata.ts';
import type { PluginLock } from './lockfile.ts';
import type { Secret } from './secret.ts';

/** Everything the gateway was told, parsed once. Deeply frozen. All paths are absolute, all times milliseconds. */
export interface GatewayConfig {
  /** The working directory: relative specifiers and packages are resolved from here. */
  readonly cwd: string;
  readonly server: ServerConfig;
  readonly tools: ToolsConfig;
  readonly admin: { readonly key: Secret | null };
  readonly log: LogConfig;
  readonly debug: boolean;
  readonly dataDir: string;
  readonly plugins: PluginsConfig;
  readonly outbound: OutboundConfig;
  readonly deployments: readonly DeploymentConfig[];
  readonly routing: RoutingConfig;
  /** What the operator should know but what does not stop the start, one line each. */
  readonly warnings: readonly string[];
}

export interface ServerConfig {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Bytes. */
  readonly bodyLimit: number;
  readonly drainTimeoutMs: number;
  /** Processes that share the port. */
  readonly workers: number;
}

/** How far the gateway goes in running tools for one request. */
export interface ToolsConfig {
  readonly maxRounds: number;
  readonly timeoutMs: number;
}

export interface LogConfig {
  readonly level: 'error' | 'warn' | 'info' | 'http' | 'verbose' | 'debug' | 'silly';
  readonly format: 'json' | 'pretty';
}

export interface PluginsConfig {
  /** As written, in order, without repetitions. */
  readonly specifiers: readonly string[];
  /** As written (trimmed, for example `plugins`), in order. */
  readonly dirs: readonly string[];
  /** `null`: all may load; empty: none. */
  readonly allowlist: readonly string[] | null;
  /** `null`: all; empty: none. */
  readonly allowedCapabilities: readonly PluginCapability[] | null;
  readonly failureMode: FailureMode;
  readonly disabled: readonly string[];
  readonly startupTimeoutMs: number;
  readonly shutdownTimeoutMs: number;
  readonly callTimeoutMs: number;
  /** 0: nobody watches. */
  readonly stallTimeoutMs: number;
  readonly failureThreshold: number;
  readonly failureWindowMs: number;
  readonly cooldownMs: number;
  readonly isolation: IsolationPolicy;
  readonly permissions: PermissionGrants;
  /** Memory that one plugin's process may have resident, in bytes. */
  readonly memoryLimitBytes: number;
  readonly watch: boolean;
  /** 0: no probation. */
  readonly probationMs: number;
  /** Absolute path; `null`: digests of plugins are not checked. */
  readonly lockfile: string | null;
  /** What it holds; `null` as well while it is to be written. */
  readonly lock: PluginLock | null;
  /** Settings as the operator wrote them; {@link file://./settings.ts} joins them for one plugin. */
  readonly settings: SettingsSources;
  /**
   * What `activation` is checked against: variables that are set and not blank, those of settings in the file, and
   * `provider:…` and `strategy:…` for what `model_list` and `router_settings` name.
   */
  readonly environment: ReadonlySet<string>;
}

/** The least isolation that plugins get; what they ask for themselves may be more. */
export interface IsolationPolicy {
  readonly all: IsolationTier;
  /** By plugin name, in place of `all`. */
  readonly byName: ReadonlyMap<string, IsolationTier>;
}

/** What the operator lets plugins in processes of their own have, by name. */
export type PermissionGrants = ReadonlyMap<string, Granted>;

export interface Granted {
  /** The network, as a whole. */
  readonly net: boolean;
  /** Absolute paths. */
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** The two places that settings come from. Values may be secrets: never log them. */
export interface SettingsSources {
  /** `plugins.<name>` of the file. */
  readonly file: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** Whole variable name, `LLMROUTER_PLUGIN_<NAME>__<KEY>`, to its value. */
  readonly env: ReadonlyMap<string, string>;
  /** What `os.environ/NAME` in the file stands for, by name. */
  readonly references?: ReadonlyMap<string, string>;
}

export interface OutboundConfig {
  readonly allowPrivate: boolean;
  /** Host names, lower case. */
  readonly hosts: readonly string[];
  /** CIDR ranges, normalised. */
  readonly cidrs: readonly string[];
  /** URL prefixes, normalised. */
  readonly urls: readonly string[];
}

/** One entry of `model_list`. */
export interface DeploymentConfig {
  /** `<group>/<index within the group>`. */
  readonly id: string;
  /** `model_name`: what clients ask for. */
  readonly group: string;
  /** The part of `litellm_params.model` before the first slash; without one `anthropic` for `claude…`, else `openai`. */
  readonly provider: string;
  /** The rest of it: the model's name at the upstream. */
  readonly model: string;
  /** Without a trailing slash; `null`: the provider's own. */
  readonly apiBase: string | null;
  readonly apiKey: Secret | null;
  /** Of Azure's API; `null`: the gateway's default. */
  readonly apiVersion: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly weight: number;
  readonly rpm: number | null;
  readonly tpm: number | null;
  /** Lower is preferred; `null` comes last. */
  readonly order: number | null;
  readonly timeoutMs: number | null;
  /** In place of {@link timeoutMs} where the answer is streamed. */
  readonly streamTimeoutMs: number | null;
  readonly inputCostPerToken: number | null;
  readonly outputCostPerToken: number | null;
  /** Its upstream has no Responses API: such calls go to its chat completions. */
  readonly responsesOverChat: boolean;
}

export interface RoutingConfig {
  readonly strategy: string;
  readonly numRetries: number;
  readonly allowedFails: number;
  readonly cooldownMs: number;
  readonly fallbacks: readonly FallbackConfig[];
  /** When the prompt is too long for a group. */
  readonly contextWindowFallbacks: readonly FallbackConfig[];
  /** When the provider's own filter refuses the prompt. */
  readonly contentPolicyFallbacks: readonly FallbackConfig[];
  /** For groups that {@link fallbacks} does not name. */
  readonly defaultFallbacks: readonly string[];
}

/** The groups to try when the group `from` fails. */
export interface FallbackConfig {
  readonly from: string;
  readonly to: readonly string[];
}
