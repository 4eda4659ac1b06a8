import type { Tool, ToolResult } from '../../plugin-api/tools.ts';
import { isObject, type JsonObject, objectsIn } from '../json-value.ts';

/** A call that a model asks for. */
export interface ModelCall {
  readonly id: string;
  readonly name: string;
  /** The arguments as the model wrote them. */
  readonly text: string;
}

/** A round's result, as the next round's request has it. */
export interface Ran {
  readonly call: ModelCall;
  readonly text: string;
}

/** More would fill the model's context with one answer. */
const MAX_RESULT_CHARS = 200_000;

/** The names of the tools that the client has brought itself. */
export function ownTools(request: JsonObject): ReadonlySet<string> {
  const names = objectsIn(request.tools).map((tool) =>
    isObject(tool.function) ? tool.function.name : undefined,
  );
  return new Set(names.filter((name) => typeof name === 'string'));
}

/**
 * A round's request, with the gateway's tools behind the client's. Streamed ones tell what they have used, whether the
 * client wants to know it or not: it is a part of the whole.
 */
export function withTools(
  { stream, stream_options: options, ...request }: JsonObject,
  tools: ReadonlyMap<string, Tool>,
): JsonObject {
  const streamed = {
    stream: true,
    stream_options: { ...(isObject(options) ? options : {}), include_usage: true },
  };
  const added = [...tools].map(([name, { description, inputSchema }]) => ({
    type: 'function',
    function: { name, ...(description === undefined ? {} : { description }), parameters: inputSchema },
  }));
  return {
    ...request,
    ...(stream === true ? streamed : {}),
    tools: [...objectsIn(request.tools), ...added],
  };
}

/** The calls that an answer asks for. */
export function callsIn(answer: JsonObject): ModelCall[] {
  return objectsIn(messageOf(answer).tool_calls).map(toCall);
}

/** The next round's request: the last one, what the model said, and what its calls have brought. */
export function nextRequest(request: JsonObject, answer: JsonObject, ran: readonly Ran[]): JsonObject {
  const results = ran.map(({ call, text }) => ({ role: 'tool', tool_call_id: call.id, content: text }));
  const messages = [...objectsIn(request.messages), messageOf(answer), ...results];
  // A forced call has been made: forced again, the model could never come to an answer.
  const isForced = request.tool_choice === 'required' || isObject(request.tool_choice);
  return { ...request, messages, ...(isForced ? { tool_choice: 'auto' } : {}) };
}

/**
 * An answer without the calls that `drop` names.
 *
 * @param finish what ended the answer, when no call is left
 */
export function withoutCalls(
  answer: JsonObject,
  drop: (call: ModelCall) => boolean,
  finish: string,
): JsonObject {
  const choices = objectsIn(answer.choices).map((choice) => {
    const { tool_calls, ...message } = isObject(choice.message) ? choice.message : {};
    const left = objectsIn(tool_calls).filter((call) => !drop(toCall(call)));
    if (left.length > 0) return { ...choice, message: { ...message, tool_calls: left } };
    return { ...choice, message, finish_reason: finish };
  });
  return { ...answer, choices };
}

/** An answer with the usage of all rounds. */
export function withUsage(answer: JsonObject, usage: unknown): JsonObject {
  return isObject(usage) ? { ...answer, usage } : answer;
}

/** Two usages together: numbers are added, what only one has is kept. */
export function addUsage(before: unknown, more: unknown): unknown {
  if (typeof before === 'number' && typeof more === 'number') return before + more;
  if (!isObject(before) || !isObject(more)) return more ?? before;
  const keys = new Set([...Object.keys(before), ...Object.keys(more)]);
  return Object.fromEntries([...keys].map((key) => [key, addUsage(before[key], more[key])]));
}

/** A tool's result as the text that a chat has for it; what is no text is named. */
export function toText({ content, structuredContent }: ToolResult): string {
  const parts = content.map((block) =>
    block.type === 'text' && typeof block.text === 'string' ? block.text : `[${String(block.type)}]`,
  );
  const text =
    parts.length === 0 && structuredContent !== undefined
      ? JSON.stringify(structuredContent)
      : parts.join('\n');
  if (text.length <= MAX_RESULT_CHARS) return text;
  return `${text.slice(0, MAX_RESULT_CHARS)}\n[${text.length - MAX_RESULT_CHARS} more characters were left out]`;
}

function messageOf(answer: JsonObject): JsonObject {
  const message = objectsIn(answer.choices)[0]?.message;
  return isObject(message) ? message : {};
}

function toCall(call: JsonObject): ModelCall {
  const { name, arguments: text } = isObject(call.function) ? call.function : {};
  return { id: String(call.id ?? ''), name: String(name ?? ''), text: typeof text === 'string' ? text : '' };
}
