/**
 * What a plugin may do. The first eight are those of the plugin document, heading "Capability Security Policy";
 * `PROVIDER` is this gateway's own.
 */
export const PluginCapability = {
  /** Register HTTP routes. */
  ROUTES: 'ROUTES',
  /** Provide routing strategies. */
  ROUTING_STRATEGY: 'ROUTING_STRATEGY',
  /** Provide tool execution. */
  TOOL_RUNTIME: 'TOOL_RUNTIME',
  /** Request and response evaluation. */
  EVALUATOR: 'EVALUATOR',
  /** Export telemetry. */
  OBSERVABILITY_EXPORTER: 'OBSERVABILITY_EXPORTER',
  /** Add Express middleware and LLM hooks. */
  MIDDLEWARE: 'MIDDLEWARE',
  /** Provide authentication. */
  AUTH_PROVIDER: 'AUTH_PROVIDER',
  /** Provide storage. */
  STORAGE_BACKEND: 'STORAGE_BACKEND',
  /** Provide another kind of LLM upstream. */
  PROVIDER: 'PROVIDER',
} as const;
Object.freeze(PluginCapability);

export type PluginCapability = keyof typeof PluginCapability;

/** All capabilities, in the document's order. */
export const PLUGIN_CAPABILITIES: readonly PluginCapability[] = Object.freeze(
  Object.values(PluginCapability),
);
