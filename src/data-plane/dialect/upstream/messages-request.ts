import { isObject, type JsonObject } from '../../json-value.ts';
import {
  type AssistantPart,
  type CallOptions,
  compact,
  type FilePart,
  type FunctionTool,
  type Message,
  metadataText,
  settingOf,
  type ToolOutput,
  type ToolResultPart,
  toBase64,
  type UserPart,
} from '../canonical.ts';
import { type FieldTable, fieldOf, refusal } from '../fields.ts';
import { toThinking } from './messages-thinking.ts';

/** A turn of the conversation: what stands in a row on one side is one message. */
interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: JsonObject[];
}

/**
 * A canonical request as the body of `POST /v1/messages`.
 * Source: Anthropic's API reference, heading "Create a Message".
 *
 * @param fields of the client's dialect: errors name the field that the client wrote
 * @throws GatewayError `invalid_request`, for what depends on more than one setting
 */
export function toMessagesRequest(
  options: CallOptions,
  model: string,
  stream: boolean,
  fields: FieldTable,
): JsonObject {
  const { max_tokens, thinking, effort } = toThinking(options, model, fields);
  return compact({
    model,
    max_tokens,
    system: toSystem(options.prompt),
    messages: toTurns(options.prompt),
    ...(stream ? { stream: true } : {}),
    temperature: options.temperature,
    top_p: options.topP,
    top_k: options.topK,
    stop_sequences: options.stopSequences,
    thinking,
    output_config: toOutputConfig(effort, toFormat(options, fields)),
    ...toTools(options),
  });
}

function toOutputConfig(effort: string | undefined, format: JsonObject | undefined): JsonObject | undefined {
  return effort === undefined && format === undefined ? undefined : compact({ effort, format });
}

/** The API takes system prompts in one place: those in the middle of a conversation move to its beginning. */
function toSystem(prompt: readonly Message[]): JsonObject[] | undefined {
  const blocks = prompt.flatMap((message) =>
    message.role === 'system' ? [{ type: 'text', text: message.content }] : [],
  );
  return blocks.length === 0 ? undefined : blocks;
}

function toTurns(prompt: readonly Message[]): Turn[] {
  const turns: Turn[] = [];
  for (const message of prompt) {
    if (message.role === 'system') continue;
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    const content = toBlocks(message);
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  }
  return turns;
}

function toBlocks(message: Exclude<Message, { role: 'system' }>): JsonObject[] {
  if (message.role === 'user') return message.content.map(toBlock);
  if (message.role === 'assistant') return message.content.flatMap(toAssistantBlock);
  return message.content.flatMap((part) => (part.type === 'tool-result' ? [toResult(part)] : []));
}

function toBlock(part: UserPart): JsonObject {
  return part.type === 'text' ? { type: 'text', text: part.text } : toFileBlock(part);
}

function toFileBlock(file: FilePart): JsonObject {
  const { data, mediaType, filename } = file;
  if (mediaType.startsWith('image')) return { type: 'image', source: toSource(file) };
  if (mediaType === 'application/pdf') {
    return compact({ type: 'document', source: toSource(file), title: filename });
  }
  if (data.type === 'url') throw refusal('messages', `a file of type ${mediaType} is given by its address`);
  const text = data.type === 'text' ? data.text : decode(data);
  return compact({
    type: 'document',
    source: { type: 'text', media_type: 'text/plain', data: text },
    title: filename,
  });
}

function decode(data: FilePart['data']): string {
  return data.type === 'data' ? Buffer.from(toBase64(data.data), 'base64').toString() : '';
}

function toSource({ data, mediaType }: FilePart): JsonObject {
  if (data.type === 'url') return { type: 'url', url: data.originalUrl ?? data.url.href };
  return {
    type: 'base64',
    media_type: mediaType,
    data: data.type === 'data' ? toBase64(data.data) : '',
  };
}

/** Reasoning goes back only with what proves that it is Anthropic's own; the API refuses any other. */
function toAssistantBlock(part: AssistantPart): JsonObject[] {
  if (part.type === 'text') return [{ type: 'text', text: part.text }];
  if (part.type === 'tool-call') {
    return [{ type: 'tool_use', id: part.toolCallId, name: part.toolName, input: part.input }];
  }
  if (part.type !== 'reasoning') return [];
  const signature = metadataText(part.providerOptions, 'anthropic', 'signature');
  if (signature !== undefined) return [{ type: 'thinking', thinking: part.text, signature }];
  const data = metadataText(part.providerOptions, 'anthropic', 'redactedData');
  return data === undefined ? [] : [{ type: 'redacted_thinking', data }];
}

function toResult({ toolCallId, output }: ToolResultPart): JsonObject {
  return compact({
    type: 'tool_result',
    tool_use_id: toolCallId,
    content: toResultContent(output),
    is_error: output.type === 'error-text' ? true : undefined,
  });
}

function toResultContent(output: ToolOutput): unknown {
  if (output.type === 'content') {
    return output.value.flatMap((part) => (part.type === 'custom' ? [] : [toBlock(part)]));
  }
  if (output.type === 'execution-denied') return output.reason ?? '';
  return typeof output.value === 'string' ? output.value : JSON.stringify(output.value);
}

function toFormat({ responseFormat }: CallOptions, fields: FieldTable): JsonObject | undefined {
  if (responseFormat === undefined || responseFormat.type === 'text') return undefined;
  const { schema } = responseFormat;
  if (isObject(schema)) return { type: 'json_schema', schema };
  throw refusal(fieldOf(fields, 'responseFormat'), 'the Messages API writes JSON by a schema only');
}

function toTools(options: CallOptions): JsonObject {
  const tools = (options.tools ?? []).filter((tool) => tool.type === 'function');
  if (tools.length === 0) return {};
  return compact({ tools: tools.map(toTool), tool_choice: toToolChoice(options) });
}

function toTool({ name, description, inputSchema, inputExamples, strict }: FunctionTool): JsonObject {
  return compact({
    name,
    description,
    input_schema: inputSchema,
    input_examples: inputExamples?.map(({ input }) => input),
    strict: strict === true ? true : undefined,
  });
}

function toToolChoice(options: CallOptions): JsonObject | undefined {
  const { toolChoice } = options;
  if (toolChoice?.type === 'none') return { type: 'none' };
  const once = settingOf(options, 'parallelToolCalls') === false ? { disable_parallel_tool_use: true } : {};
  if (toolChoice?.type === 'tool') return { type: 'tool', name: toolChoice.toolName, ...once };
  if (toolChoice?.type === 'required') return { type: 'any', ...once };
  return toolChoice === undefined && Object.keys(once).length === 0 ? undefined : { type: 'auto', ...once };
}
