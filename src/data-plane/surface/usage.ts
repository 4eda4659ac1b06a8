import type { LlmUsage } from '../../plugin-api/llm.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import { parseEvents } from '../sse.ts';
import type { StreamShape } from './surface.ts';

/**
 * The `usage` of an answer or a chunk, `null` when it has none. Surfaces name the counts differently: `prompt_tokens`
 * or `input_tokens`, `completion_tokens` or `output_tokens`; embeddings and rerankers complete nothing, and some count
 * the total alone. Anthropic's `input_tokens` are without those that went through the cache: here they are with them.
 */
export function usageOf(body: JsonObject): LlmUsage | null {
  const { usage } = body;
  if (!isObject(usage)) return null;
  const cache = cacheOf(usage);
  const completion = countOf(usage.completion_tokens ?? usage.output_tokens) ?? 0;
  const prompt = promptOf(usage);
  const total = countOf(usage.total_tokens);
  if (prompt === null && total === null) return null;
  return {
    promptTokens: prompt ?? (total as number) - completion,
    completionTokens: completion,
    totalTokens: total ?? (prompt as number) + completion,
    ...cache,
  };
}

/** The usage that a whole stream has counted. */
export function usageInEvents(stream: StreamShape, events: Buffer): LlmUsage | null {
  let usage: LlmUsage | null = null;
  for (const { data } of parseEvents(events)) {
    if (data?.includes('"usage"') !== true) continue;
    try {
      const chunk: unknown = JSON.parse(data);
      if (isObject(chunk)) usage = stream.usageOf(chunk, usage);
    } catch {
      // What is no JSON fails the delivery.
    }
  }
  return usage;
}

function promptOf(usage: JsonObject): number | null {
  const prompt = countOf(usage.prompt_tokens ?? usage.input_tokens);
  if (prompt === null) return null;
  return (
    prompt + (countOf(usage.cache_read_input_tokens) ?? 0) + (countOf(usage.cache_creation_input_tokens) ?? 0)
  );
}

/** OpenAI's details name what was read; Anthropic's counts what was written too. */
function cacheOf(usage: JsonObject): Pick<LlmUsage, 'cacheReadTokens' | 'cacheWriteTokens'> {
  const details = usage.prompt_tokens_details ?? usage.input_tokens_details;
  const read = countOf(usage.cache_read_input_tokens ?? (isObject(details) ? details.cached_tokens : null));
  const written = countOf(usage.cache_creation_input_tokens);
  return {
    ...(read === null ? {} : { cacheReadTokens: read }),
    ...(written === null ? {} : { cacheWriteTokens: written }),
  };
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
