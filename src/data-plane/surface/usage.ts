import type { LlmUsage } from '../../plugin-api/llm.ts';
import { isObject, type JsonObject } from '../json-value.ts';

/**
 * The `usage` of an answer or a chunk, `null` when it has none. Surfaces name the counts differently: `prompt_tokens`
 * or `input_tokens`, `completion_tokens` or `output_tokens`; embeddings and rerankers complete nothing, and some count
 * the total alone.
 */
export function usageOf(body: JsonObject): LlmUsage | null {
  const { usage } = body;
  if (!isObject(usage)) return null;
  const completion = countOf(usage.completion_tokens ?? usage.output_tokens) ?? 0;
  const prompt = countOf(usage.prompt_tokens ?? usage.input_tokens);
  const total = countOf(usage.total_tokens);
  if (prompt === null && total === null) return null;
  return {
    promptTokens: prompt ?? (total as number) - completion,
    completionTokens: completion,
    totalTokens: total ?? (prompt as number) + completion,
  };
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
