import type { Attributes } from '@opentelemetry/api';
import { ATTR_ERROR_TYPE, ATTR_HTTP_RESPONSE_STATUS_CODE } from '@opentelemetry/semantic-conventions';
import type { CallRecord } from 'routeiq-gateway/plugin';

/**
 * What tells calls apart in metrics: few values each. Source: OpenTelemetry semantic conventions for generative AI,
 * "Metrics".
 */
export function metricAttributes(record: CallRecord): Attributes {
  const { operation, provider, model, upstreamModel, deployment } = record;
  const error = errorType(record);
  // Where no deployment had a part, the model is whatever a client has written.
  const isKnown = deployment !== null;
  return {
    'gen_ai.operation.name': operation,
    ...(provider !== null && { 'gen_ai.provider.name': providerName(provider) }),
    ...(isKnown && { 'gen_ai.request.model': model }),
    ...(upstreamModel !== null && { 'gen_ai.response.model': upstreamModel }),
    ...(error !== null && { [ATTR_ERROR_TYPE]: error }),
  };
}

/** All that is known of a call but for its content. Source: as {@link metricAttributes}, "Spans". */
export function spanAttributes(record: CallRecord): Attributes {
  const { id, surface, stream, status, deployment, attempts, identity, usage, costUsd, firstTokenMs } =
    record;
  return {
    ...metricAttributes(record),
    'gen_ai.request.model': record.model,
    'gen_ai.request.stream': stream,
    ...(firstTokenMs !== null && { 'gen_ai.response.time_to_first_chunk': firstTokenMs / 1000 }),
    ...(usage !== null && {
      'gen_ai.usage.input_tokens': usage.promptTokens,
      'gen_ai.usage.output_tokens': usage.completionTokens,
      ...(usage.cacheReadTokens !== undefined && {
        'gen_ai.usage.cache_read.input_tokens': usage.cacheReadTokens,
      }),
      ...(usage.cacheWriteTokens !== undefined && {
        'gen_ai.usage.cache_creation.input_tokens': usage.cacheWriteTokens,
      }),
    }),
    [ATTR_HTTP_RESPONSE_STATUS_CODE]: status,
    ...(identity !== null && { 'user.id': identity }),
    'llmrouter.request.id': id,
    'llmrouter.surface': surface,
    'llmrouter.attempts': attempts,
    ...(deployment !== null && { 'llmrouter.deployment': deployment }),
    ...(costUsd !== null && { 'llmrouter.cost.usd': costUsd }),
    ...pluginAttributes(record),
  };
}

/** What each plugin took in each phase, in milliseconds. */
function pluginAttributes({ plugins }: CallRecord): Attributes {
  const took: Record<string, number> = {};
  for (const { plugin, phase, ms } of plugins) {
    const name = `llmrouter.plugin.${plugin}.${phase}.ms`;
    took[name] = (took[name] ?? 0) + ms;
  }
  return took;
}

/** The gateway's code of the error, the status of a client that has hung up; `null` when all went well. */
export function errorType({ error, status }: CallRecord): string | null {
  return error ?? (status >= 400 ? String(status) : null);
}

/** The conventions' well-known names, where they are others than LiteLLM's. */
const PROVIDERS: ReadonlyMap<string, string> = new Map([
  ['azure', 'azure.ai.openai'],
  ['bedrock', 'aws.bedrock'],
  ['amazon-bedrock', 'aws.bedrock'],
  ['gemini', 'gcp.gemini'],
  ['google', 'gcp.gemini'],
  ['vertex_ai', 'gcp.vertex_ai'],
  ['google-vertex', 'gcp.vertex_ai'],
  ['mistral', 'mistral_ai'],
]);

function providerName(provider: string): string {
  return PROVIDERS.get(provider) ?? provider;
}
