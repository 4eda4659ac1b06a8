import type { AssistantPart, Message, ToolOutput, UserPart } from './canonical.ts';
import { invalid } from './schema.ts';

/**
 * Puts a canonical prompt together. What the assistant says in a row is one message, and so are the results of tools:
 * some dialects write them as items of their own.
 */
export class PromptBuilder {
  readonly prompt: Message[] = [];
  readonly #toolNames = new Map<string, string>();

  system(text: string): void {
    if (text !== '') this.prompt.push({ role: 'system', content: text });
  }

  user(parts: readonly UserPart[]): void {
    if (parts.length > 0) this.prompt.push({ role: 'user', content: [...parts] });
  }

  assistant(parts: readonly AssistantPart[]): void {
    if (parts.length === 0) return;
    for (const part of parts) {
      if (part.type === 'tool-call') this.#toolNames.set(part.toolCallId, part.toolName);
    }
    const last = this.prompt.at(-1);
    if (last?.role === 'assistant') last.content.push(...parts);
    else this.prompt.push({ role: 'assistant', content: [...parts] });
  }

  /**
   * The result of a tool that the assistant has called before.
   *
   * @param param where the request names the call
   * @throws GatewayError `invalid_request`, when it has not
   */
  toolResult(toolCallId: string, output: ToolOutput, param: string): void {
    const toolName = this.#toolNames.get(toolCallId);
    if (toolName === undefined) throw invalid(param, 'names no tool call of an earlier message');
    const part = { type: 'tool-result', toolCallId, toolName, output } as const;
    const last = this.prompt.at(-1);
    if (last?.role === 'tool') last.content.push(part);
    else this.prompt.push({ role: 'tool', content: [part] });
  }
}
