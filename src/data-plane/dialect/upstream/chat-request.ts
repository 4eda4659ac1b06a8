import { isObject, type JsonObject } from '../../json-value.ts';
import type {
  AssistantPart,
  CallOptions,
  FilePart,
  Message,
  ToolResultPart,
  UserPart,
} from '../canonical.ts';
import { compact, type FunctionTool, metadataText, settingOf, toBase64 } from '../canonical.ts';
import { refusal } from '../fields.ts';

/** What differs between servers that speak chat completions. */
export interface ChatRequestStyle {
  /** OpenAI's reasoning models take the one alone, many compatible servers the other alone. */
  readonly outputLimit: 'max_completion_tokens' | 'max_tokens';
}

/**
 * A canonical request as the body of `POST /v1/chat/completions`. Reasoning of earlier turns is left out: the API has
 * no place for it.
 * Source: OpenAI's API reference, heading "Create chat completion".
 *
 * @throws GatewayError `invalid_request`, for files that it cannot carry
 */
export function toChatRequest(
  options: CallOptions,
  model: string,
  stream: boolean,
  style: ChatRequestStyle,
): JsonObject {
  return compact({
    model,
    messages: options.prompt.flatMap(toMessages),
    ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    [style.outputLimit]: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    stop: options.stopSequences,
    seed: options.seed,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
    response_format: toResponseFormat(options),
    reasoning_effort: toEffort(options.reasoning),
    ...toTools(options),
    verbosity: settingOf(options, 'textVerbosity'),
  });
}

function toMessages(message: Message): JsonObject[] {
  if (message.role === 'system') return [{ role: 'system', content: message.content }];
  if (message.role === 'user') return [{ role: 'user', content: toContent(message.content) }];
  if (message.role === 'assistant') return [toAssistant(message.content)];
  const results = message.content.filter((part) => part.type === 'tool-result');
  return [...results.map(toToolMessage), ...toImageMessage(results)];
}

/** One text is written as such: servers that know nothing else are still around. */
function toContent(parts: readonly UserPart[]): unknown {
  const [first] = parts;
  if (parts.length === 1 && first?.type === 'text') return first.text;
  return parts.map(toPart);
}

function toPart(part: UserPart): JsonObject {
  return part.type === 'text' ? { type: 'text', text: part.text } : toFilePart(part);
}

function toFilePart(file: FilePart): JsonObject {
  const { data, mediaType } = file;
  if (data.type === 'text') return { type: 'text', text: data.text };
  if (mediaType.startsWith('image')) {
    const detail = metadataText(file.providerOptions, 'openai', 'imageDetail');
    return { type: 'image_url', image_url: compact({ url: toAddress(file), detail }) };
  }
  if (data.type !== 'data') throw refusal('messages', `a file of type ${mediaType} is given by its address`);
  if (mediaType.startsWith('text/')) {
    return { type: 'text', text: Buffer.from(toBase64(data.data), 'base64').toString() };
  }
  if (mediaType.startsWith('audio')) {
    const format = mediaType === 'audio/wav' ? 'wav' : 'mp3';
    return { type: 'input_audio', input_audio: { data: toBase64(data.data), format } };
  }
  return {
    type: 'file',
    file: { filename: file.filename ?? 'document.pdf', file_data: toAddress(file) },
  };
}

function toAddress({ data, mediaType }: FilePart): string {
  if (data.type === 'url') return data.originalUrl ?? data.url.href;
  return `data:${mediaType};base64,${data.type === 'data' ? toBase64(data.data) : ''}`;
}

function toAssistant(parts: readonly AssistantPart[]): JsonObject {
  const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const calls = parts.flatMap((part) =>
    part.type === 'tool-call'
      ? [
          compact({
            id: part.toolCallId,
            type: 'function',
            function: { name: part.toolName, arguments: JSON.stringify(part.input) },
            extra_content: part.providerOptions,
          }),
        ]
      : [],
  );
  if (calls.length === 0) return { role: 'assistant', content: text };
  return { role: 'assistant', content: text === '' ? null : text, tool_calls: calls };
}

function toToolMessage({ toolCallId, output }: ToolResultPart): JsonObject {
  return { role: 'tool', tool_call_id: toolCallId, content: toResultText(output) };
}

function toResultText(output: ToolResultPart['output']): string {
  if (output.type === 'text') return output.value;
  if (output.type === 'error-text') return `Error: ${output.value}`;
  if (output.type === 'content') {
    const texts = output.value.map((part) => (part.type === 'text' ? part.text : FILE_MARK));
    return texts.join('\n');
  }
  return output.type === 'execution-denied' ? (output.reason ?? '') : JSON.stringify(output.value);
}

/** Where a file stood in a result; it follows in a message of its own. */
const FILE_MARK = '(see the file below)';

/** Messages of tools hold text alone. */
function toImageMessage(results: readonly ToolResultPart[]): JsonObject[] {
  const files = results.flatMap(({ output }) =>
    output.type === 'content'
      ? output.value.flatMap((part) => (part.type === 'file' ? [toFilePart(part)] : []))
      : [],
  );
  return files.length === 0 ? [] : [{ role: 'user', content: files }];
}

function toResponseFormat({ responseFormat, providerOptions }: CallOptions): JsonObject | undefined {
  if (responseFormat === undefined || responseFormat.type === 'text') return undefined;
  const { name = 'response', description, schema } = responseFormat;
  if (schema === undefined) return { type: 'json_object' };
  const strict = providerOptions?.openai?.strictJsonSchema;
  return { type: 'json_schema', json_schema: compact({ name, description, schema, strict }) };
}

function toEffort(reasoning: CallOptions['reasoning']): string | undefined {
  if (reasoning === undefined || reasoning === 'provider-default') return undefined;
  return reasoning === 'max' ? 'xhigh' : reasoning;
}

/** A choice among no tools is refused by many servers, and says nothing. */
function toTools(options: CallOptions): JsonObject {
  const tools = (options.tools ?? []).filter((tool) => tool.type === 'function');
  if (tools.length === 0) return {};
  return compact({
    tools: tools.map(toTool),
    tool_choice: toToolChoice(options.toolChoice),
    parallel_tool_calls: settingOf(options, 'parallelToolCalls'),
  });
}

function toTool({ name, description, inputSchema, inputExamples, strict }: FunctionTool): JsonObject {
  const examples = inputExamples?.map(({ input }) => JSON.stringify(input)) ?? [];
  const text = [description, ...examples.map((example) => `Example input: ${example}`)].filter(isText);
  const parameters = isObject(inputSchema) ? inputSchema : {};
  return {
    type: 'function',
    function: compact({ name, description: text.join('\n') || undefined, parameters, strict }),
  };
}

function isText(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}

function toToolChoice(choice: CallOptions['toolChoice']): unknown {
  if (choice === undefined) return undefined;
  return choice.type === 'tool' ? { type: 'function', function: { name: choice.toolName } } : choice.type;
}
