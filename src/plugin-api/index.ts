/**
 * The plugin API: contracts, and nothing of the gateway's own code but its error classes.
 *
 * @packageDocumentation
 */
export {
  CapabilityError,
  ConfigError,
  type ErrorCode,
  GatewayError,
  type GatewayErrorOptions,
  PluginDependencyError,
  PluginLoadError,
  PluginSecurityError,
  PluginTimeoutError,
  RouteConflictError,
  SSRFBlockedError,
  type SSRFReason,
} from '../errors.ts';
export type { PluginApp, RouteMethod, RoutePath } from './app.ts';
export type {
  AuthProvider,
  AuthRequest,
  Identity,
  Reservation,
  UsageEstimate,
  UsageOutcome,
} from './auth.ts';
export { PLUGIN_CAPABILITIES, PluginCapability } from './capability.ts';
export type { OutboundInit, PluginContext, PluginModels, PluginSettings, PluginTools } from './context.ts';
export type { Evaluator, MaskSpan, Verdict } from './evaluator.ts';
export type { CallRecord, Exporter } from './exporter.ts';
export { FAILURE_MODES, FailureMode } from './failure-mode.ts';
export type {
  LlmChunk,
  LlmHooks,
  LlmRequest,
  LlmRequestResult,
  LlmResponse,
  LlmSurface,
  LlmUsage,
} from './llm.ts';
export type {
  LlmDelta,
  LlmDeltaEvent,
  LlmErrorEvent,
  LlmEvent,
  LlmEventResult,
  LlmFinishEvent,
  LlmFinishReason,
  LlmFirstTokenEvent,
  LlmOtherEvent,
  LlmReasoningEvent,
  LlmTextEvent,
  LlmToolInputEvent,
  LlmUsageEvent,
} from './llm-event.ts';
export type { IsolationTier, PluginDependency, PluginMetadata } from './metadata.ts';
export type { Counter, Gauge, Histogram, MetricLabels, MetricOptions, PluginMetrics } from './metrics.ts';
export type { ModelInfo } from './models.ts';
export { definePlugin, GatewayPlugin, type HealthReport, type Plugin } from './plugin.ts';
export type { ApiKey, Provider, ProviderDeployment, ProviderResponse } from './provider.ts';
export type { Candidate, RouteDecision, RouteLoad, RouteResult, RoutingStrategy } from './routing.ts';
export type { Storage, StorageBackend, StorageOptions, StorageValue } from './storage.ts';
export type { Tool, ToolCall, ToolDescription, ToolProgress, ToolResult, ToolRuntime } from './tools.ts';
export type { TraceContext } from './trace.ts';
