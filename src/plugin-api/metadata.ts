import type { PluginCapability } from './capability.ts';
import type { FailureMode } from './failure-mode.ts';

/** Where a plugin's code may run. */
export type IsolationTier = 'inline' | 'process';

/** A dependency on another plugin. A bare name stands for `{ name }`. */
export interface PluginDependency {
  readonly name: string;
  /** Range of versions in npm's syntax, for example `^2`. Default: any. */
  readonly version?: string;
  /** True: order only, if the other plugin is there. Default: false. */
  readonly optional?: boolean;
}

/**
 * A plugin's identity and needs. Source: the plugin document, heading "Plugin Metadata".
 *
 * @example
 * ```ts
 * import type { PluginMetadata } from 'routeiq-gateway/plugin';
 *
 * const metadata: PluginMetadata = {
 *   name: 'my-plugin',
 *   version: '1.0.0',
 *   capabilities: ['ROUTES', 'MIDDLEWARE'],
 *   dependsOn: ['base', { name: 'keys', version: '^2', optional: true }],
 *   priority: 100,
 *   failureMode: 'quarantine',
 * };
 * ```
 */
export interface PluginMetadata {
  /** Unique identifier. Letters, digits, `.`, `_` and `-`, beginning with a letter, digit or `_`; at most 128. */
  readonly name: string;
  /** Semantic version. Default: `0.0.0`. */
  readonly version?: string;
  /** What the plugin provides. Left out: passes every check at load (legacy). Empty: may register nothing. */
  readonly capabilities?: readonly PluginCapability[] | ReadonlySet<PluginCapability>;
  /** Plugins that have to start before this one. Default: none. */
  readonly dependsOn?: readonly (string | PluginDependency)[];
  /** Lower starts earlier, among plugins without dependencies between them. Default: 1000. */
  readonly priority?: number;
  /** What to do when the plugin fails. Default: `LLMROUTER_PLUGINS_FAILURE_MODE`. */
  readonly failureMode?: FailureMode;
  readonly description?: string;
  /** Least isolation that the plugin wants. Default: `inline`. */
  readonly isolation?: IsolationTier;
  /** Middleware and LLM hooks: true answers 503 when the plugin fails, instead of going on without it. Default: false. */
  readonly failClosed?: boolean;
  /** Evaluators of mode `block`: true lets pass what could not be evaluated, instead of 503. Default: false. */
  readonly failOpen?: boolean;
  /** JSON Schema of the plugin's settings, checked before startup. A manifest's schema wins. */
  readonly settings?: Readonly<Record<string, unknown>>;
}
