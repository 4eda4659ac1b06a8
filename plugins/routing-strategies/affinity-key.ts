import { hash } from 'node:crypto';
import type { LlmRequest } from 'routeiq-gateway/plugin';

/** Roles whose messages stand before the conversation. */
const INSTRUCTIONS: readonly unknown[] = ['system', 'developer'];

/**
 * What calls have in common that profit from one cache: the client's `prompt_cache_key`, else the beginning of the
 * prompt that stays the same throughout a conversation, which is its instructions and its first message.
 */
export function affinityKey({ id, body }: Pick<LlmRequest, 'id' | 'body'>): string {
  const { prompt_cache_key: given, system, instructions, messages, input, prompt } = body;
  if (typeof given === 'string') return given;
  const beginning = [system, instructions, beginningOf(messages ?? input ?? prompt)];
  // Without a prompt there is nothing to have in common.
  return beginning.every((part) => part === undefined) ? id : hash('sha1', JSON.stringify(beginning));
}

function beginningOf(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  const first = content.findIndex((message) => !INSTRUCTIONS.includes(roleOf(message)));
  return first === -1 ? content : content.slice(0, first + 1);
}

function roleOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null ? (message as { role?: unknown }).role : undefined;
}
