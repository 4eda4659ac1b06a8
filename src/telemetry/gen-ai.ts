import type { LlmSurface } from '../plugin-api/llm.ts';

/**
 * `gen_ai.operation.name` of a surface. Those that the conventions have no name for keep ours.
 * Source: OpenTelemetry semantic conventions for generative AI, "GenAI attributes".
 */
export function operationOf(surface: LlmSurface): string {
  return OPERATIONS.get(surface) ?? surface;
}

/** `gen_ai.provider.name` of a provider as the configuration has it. Source: as {@link operationOf}. */
export function providerNameOf(provider: string): string {
  return PROVIDERS.get(provider) ?? provider;
}

const OPERATIONS: ReadonlyMap<LlmSurface, string> = new Map([
  ['chat.completions', 'chat'],
  ['responses', 'chat'],
  ['messages', 'chat'],
  ['completions', 'text_completion'],
  ['embeddings', 'embeddings'],
  ['images.generations', 'generate_content'],
  ['audio.speech', 'generate_content'],
]);

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
