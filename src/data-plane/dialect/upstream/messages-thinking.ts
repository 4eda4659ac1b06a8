import type { JsonObject } from '../../json-value.ts';
import { type CallOptions, compact, type Message, metadataText, type Reasoning } from '../canonical.ts';
import { type FieldTable, fieldOf, refusal } from '../fields.ts';

/** Tokens of an answer whose request sets no limit: the API asks for one. */
const DEFAULT_MAX_TOKENS = 4096;
/** The same for an answer that is thought about before. */
const DEFAULT_THINKING_MAX_TOKENS = 32_000;
/** The least budget that the API takes. */
const MIN_BUDGET = 1024;

/** Models that think by a budget of tokens; later ones by an effort. */
const BY_BUDGET = /claude-(?:3|(?:opus|sonnet|haiku)-4(?:[-.][0-5])?(?:$|[-@:](?:\d{6,}|v\d|latest)))/;

const BUDGETS: Readonly<Record<Exclude<Reasoning, 'provider-default' | 'none'>, number>> = {
  minimal: MIN_BUDGET,
  low: 2048,
  medium: 8192,
  high: 16_384,
  xhigh: 24_576,
  max: 24_576,
};

export interface Thinking {
  readonly max_tokens: number;
  readonly thinking: JsonObject | undefined;
  readonly effort: string | undefined;
}

/**
 * How much the model is to think, and how much it may write.
 *
 * @throws GatewayError `invalid_request`, when the limit leaves no room for thinking
 */
export function toThinking(options: CallOptions, model: string, fields: FieldTable): Thinking {
  const { reasoning, maxOutputTokens: limit } = options;
  const plain = { max_tokens: limit ?? DEFAULT_MAX_TOKENS, thinking: undefined, effort: undefined };
  if (reasoning === undefined || reasoning === 'provider-default') return plain;
  if (reasoning === 'none') return { ...plain, thinking: { type: 'disabled' } };
  // The API refuses thinking in a turn whose tool calls come without the thinking that led to them.
  if (continuesWithoutThinking(options.prompt)) return plain;
  const max_tokens = limit ?? DEFAULT_THINKING_MAX_TOKENS;
  if (!BY_BUDGET.test(model)) {
    const effort = reasoning === 'minimal' ? 'low' : reasoning;
    return { max_tokens, thinking: { type: 'adaptive', display: 'summarized' }, effort };
  }
  const budget_tokens = Math.min(BUDGETS[reasoning], max_tokens - MIN_BUDGET);
  if (budget_tokens < MIN_BUDGET) {
    const field = fieldOf(fields, 'maxOutputTokens');
    throw refusal(field, `it must be at least ${2 * MIN_BUDGET} for a model that is to think`);
  }
  return { max_tokens, ...compact({ thinking: { type: 'enabled', budget_tokens } }), effort: undefined };
}

/** True when the last turn of the assistant has called tools, and the client has not kept its signed reasoning. */
function continuesWithoutThinking(prompt: readonly Message[]): boolean {
  if (prompt.at(-1)?.role !== 'tool') return false;
  const last = prompt.findLast((message) => message.role === 'assistant');
  return !last?.content.some(
    (part) =>
      part.type === 'reasoning' &&
      (metadataText(part.providerOptions, 'anthropic', 'signature') !== undefined ||
        metadataText(part.providerOptions, 'anthropic', 'redactedData') !== undefined),
  );
}
