import type { LanguageModelV4Content, LanguageModelV4GenerateResult } from '@ai-sdk/provider';
import { compact, type StreamPart } from '../canonical.ts';

/** A whole answer of a model as the parts of a stream. */
export function partsOf(result: LanguageModelV4GenerateResult): StreamPart[] {
  const { response, finishReason, usage } = result;
  return [
    compact({
      type: 'response-metadata' as const,
      id: response?.id,
      modelId: response?.modelId,
      timestamp: response?.timestamp,
    }),
    ...result.content.flatMap((content, index) => toParts(content, String(index))),
    { type: 'finish', finishReason, usage },
  ];
}

function toParts(content: LanguageModelV4Content, id: string): StreamPart[] {
  if (content.type !== 'text' && content.type !== 'reasoning') return [content];
  const { type, text, providerMetadata } = content;
  return [
    compact({ type: `${type}-start` as const, id, providerMetadata }),
    { type: `${type}-delta`, id, delta: text },
    { type: `${type}-end`, id },
  ];
}
