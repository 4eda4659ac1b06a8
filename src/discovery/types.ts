import type { GatewayError } from '../errors.ts';
import type { PluginCapability } from '../plugin-api/capability.ts';
import type { FailureMode } from '../plugin-api/failure-mode.ts';
import type { IsolationTier, PluginDependency } from '../plugin-api/metadata.ts';
import type { Plugin } from '../plugin-api/plugin.ts';

/** A place where a plugin should be, found without reading a byte of its code. Frozen. */
export interface PluginCandidate {
  /** As the operator wrote it, or `<folder>/<name>`. */
  readonly specifier: string;
  /** Every text that the allowlist may name it by: the specifiers that led here and the package's name. */
  readonly names: readonly string[];
  readonly source: 'env' | 'folder';
  /**
   * Real path of the folder that the plugin's files must stay in (for a single file the folder that it lies in, which
   * others may share); `null` when `problem` is set.
   */
  readonly root: string | null;
  /** True for a single file, `false` for a folder, a package or a `problem`. */
  readonly isFile: boolean;
  /** Real path of the module to import; `null` when `problem` is set. */
  readonly entry: string | null;
  /** The export named by the specifier. */
  readonly exportName: string | null;
  readonly manifest: PluginManifest | null;
  /** Why it cannot be loaded, whatever policy says (`plugin_load`, `plugin_security`). */
  readonly problem: GatewayError | null;
}

/** Metadata with every default filled in. Deeply frozen. */
export interface ResolvedMetadata {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** `null`: a legacy plugin, which passes every check at load. */
  readonly capabilities: readonly PluginCapability[] | null;
  readonly dependsOn: readonly Required<PluginDependency>[];
  readonly priority: number;
  /** `null`: the global one. */
  readonly failureMode: FailureMode | null;
  readonly isolation: IsolationTier;
  readonly failClosed: boolean;
  readonly failOpen: boolean;
  /** JSON Schema of the settings. */
  readonly settings: Readonly<Record<string, unknown>> | null;
}

/** The `llmrouter` field of a package.json, checked, with the package's name and version filled in. */
export interface PluginManifest {
  readonly packageName: string | null;
  /** Relative to the package's folder; `null`: the package's own entry point. */
  readonly entry: string | null;
  /** What it says itself; all else is open to the code's own metadata. */
  readonly declared: Partial<ResolvedMetadata>;
  /** The same with defaults: what is known of the plugin before its code is imported. */
  readonly metadata: ResolvedMetadata;
  readonly activation: Activation;
  /** What it asks for in a process of its own, beyond what every plugin has there. */
  readonly permissions: Permissions;
}

/** What a plugin in a process of its own asks for. The operator has to grant it. */
export interface Permissions {
  /** Hosts that it connects to by itself, for people to read: Node grants the network as a whole or not at all. */
  readonly net: readonly string[];
  /** Absolute paths; `*`: whatever the operator grants. */
  readonly fs: { readonly read: readonly string[]; readonly write: readonly string[] };
}

/** What the configuration has to have for a plugin to be active. */
export interface Activation {
  /** Environment variables, all of them. */
  readonly env: readonly string[];
  /** Variables, `provider:<name>` or `strategy:<name>`, at least one of them. Left out: none is asked for. */
  readonly anyOf?: readonly string[];
}

/** A plugin whose code has been imported. */
export interface LoadedPlugin {
  readonly plugin: Plugin;
  readonly metadata: ResolvedMetadata;
}
