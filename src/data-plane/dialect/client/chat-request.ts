import { z } from 'zod';
import type { JsonObject } from '../../json-value.ts';
import { type AssistantPart, type CallOptions, compact, type FilePart, type UserPart } from '../canonical.ts';
import { PromptBuilder } from '../prompt-builder.ts';
import {
  anything,
  fileAt,
  invalid,
  jsonSchema,
  object,
  parse,
  parseArguments,
  partsOrText,
} from '../schema.ts';
import { functionTool, providerOptions, REASONING_LEVELS, stopList } from './shared.ts';

/** Marks for caches of prompts change what a call costs, not what it says. */
const textPart = z.strictObject({ type: z.literal('text'), text: z.string(), cache_control: anything });

const refusalPart = z.strictObject({ type: z.literal('refusal'), refusal: z.string() });

const userPart = z.discriminatedUnion('type', [
  textPart,
  z.strictObject({
    type: z.literal('image_url'),
    image_url: z.strictObject({ url: z.string(), detail: z.enum(['auto', 'low', 'high']).nullish() }),
    cache_control: anything,
  }),
  z.strictObject({
    type: z.literal('input_audio'),
    input_audio: z.strictObject({ data: z.string(), format: z.enum(['wav', 'mp3']) }),
    cache_control: anything,
  }),
  z.strictObject({
    type: z.literal('file'),
    file: z.strictObject({ file_data: z.string(), filename: z.string().nullish() }),
    cache_control: anything,
  }),
]);

/** `parsed` and `parsed_arguments` are what OpenAI's own client adds for its users, and sends back with the rest. */
const toolCall = z.strictObject({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.strictObject({ name: z.string(), arguments: z.string(), parsed_arguments: anything }),
  index: anything,
  /** What the provider wants to see again with the call, as Google's compatible API has it. */
  extra_content: z.record(z.string(), z.record(z.string(), z.json())).nullish(),
});

const thinkingBlock = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string().nullish() }),
  z.strictObject({ type: z.literal('redacted_thinking'), data: z.string() }),
]);

const assistantMessage = z.strictObject({
  role: z.literal('assistant'),
  content: partsOrText(z.discriminatedUnion('type', [textPart, refusalPart]), 'text').nullish(),
  refusal: z.string().nullish(),
  tool_calls: z.array(toolCall).nullish(),
  reasoning_content: z.string().nullish(),
  reasoning: z.string().nullish(),
  thinking_blocks: z.array(thinkingBlock).nullish(),
  annotations: anything,
  audio: z.null().optional(),
  parsed: anything,
  function_call: z.null().optional(),
  cache_control: anything,
});

const message = z.discriminatedUnion('role', [
  z.strictObject({
    role: z.enum(['system', 'developer']),
    content: partsOrText(textPart, 'text'),
    cache_control: anything,
  }),
  z.strictObject({
    role: z.literal('user'),
    content: partsOrText(userPart, 'text'),
    cache_control: anything,
  }),
  assistantMessage,
  z.strictObject({
    role: z.literal('tool'),
    tool_call_id: z.string(),
    content: partsOrText(textPart, 'text'),
    name: anything,
    cache_control: anything,
  }),
]);

const tool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string(),
    description: z.string().nullish(),
    parameters: jsonSchema.nullish(),
    strict: z.boolean().nullish(),
  }),
  cache_control: anything,
});

const toolChoice = z.union(
  [
    z.enum(['auto', 'none', 'required']),
    z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) }),
  ],
  'expected "auto", "none", "required" or {"type":"function","function":{"name"}}',
);

const responseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string(),
      description: z.string().nullish(),
      schema: jsonSchema.nullish(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

const request = z.object({
  messages: z.array(message).min(1, 'expected at least one message'),
  stream_options: object.nullish(),
  max_completion_tokens: z.int().nullish(),
  max_tokens: z.int().nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  top_k: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string())], 'expected a text or a list of texts').nullish(),
  seed: z.int().nullish(),
  presence_penalty: z.number().nullish(),
  frequency_penalty: z.number().nullish(),
  response_format: responseFormat.nullish(),
  reasoning_effort: z.enum(REASONING_LEVELS).nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
});

type Request = z.infer<typeof request>;
type ChatMessage = z.infer<typeof message>;

/**
 * A chat request in the canonical form.
 *
 * @throws GatewayError `invalid_request`, with the place as `param`
 */
export function readChatRequest(body: JsonObject): CallOptions {
  const given = parse(request, body);
  const { response_format: format } = given;
  return compact({
    prompt: toPrompt(given.messages),
    maxOutputTokens: given.max_completion_tokens ?? given.max_tokens ?? undefined,
    temperature: given.temperature ?? undefined,
    topP: given.top_p ?? undefined,
    topK: given.top_k ?? undefined,
    stopSequences: stopList(given.stop),
    seed: given.seed ?? undefined,
    presencePenalty: given.presence_penalty ?? undefined,
    frequencyPenalty: given.frequency_penalty ?? undefined,
    responseFormat: toResponseFormat(format),
    reasoning: given.reasoning_effort ?? undefined,
    tools: given.tools?.map((each) => functionTool(each.function)),
    toolChoice: toToolChoice(given.tool_choice),
    providerOptions: providerOptions({
      parallelToolCalls: given.parallel_tool_calls,
      textVerbosity: given.verbosity,
      strictJsonSchema: format?.type === 'json_schema' ? (format.json_schema.strict ?? false) : undefined,
    }),
  });
}

function toPrompt(messages: readonly ChatMessage[]): CallOptions['prompt'] {
  const builder = new PromptBuilder();
  for (const [index, each] of messages.entries()) addMessage(builder, each, `messages[${index}]`);
  return builder.prompt;
}

function addMessage(builder: PromptBuilder, given: ChatMessage, place: string): void {
  if (given.role === 'user') {
    builder.user(given.content.map((part, index) => toUserPart(part, `${place}.content[${index}]`)));
  } else if (given.role === 'assistant') builder.assistant(toAssistantParts(given, place));
  else if (given.role === 'tool') {
    const value = given.content.map(({ text }) => text).join('');
    builder.toolResult(given.tool_call_id, { type: 'text', value }, `${place}.tool_call_id`);
  } else builder.system(given.content.map(({ text }) => text).join(''));
}

function toUserPart(part: z.infer<typeof userPart>, place: string): UserPart {
  if (part.type === 'text') return { type: 'text', text: part.text };
  if (part.type === 'input_audio') {
    const { data, format } = part.input_audio;
    const mediaType = format === 'mp3' ? 'audio/mpeg' : 'audio/wav';
    return { type: 'file', mediaType, data: { type: 'data', data } };
  }
  if (part.type === 'file') return toFile(part.file, `${place}.file.file_data`);
  const file = fileAt(part.image_url.url, 'image/*', `${place}.image_url.url`);
  const { detail } = part.image_url;
  return detail == null || detail === 'auto'
    ? file
    : { ...file, providerOptions: { openai: { imageDetail: detail } } };
}

function toFile(
  { file_data, filename }: { file_data: string; filename?: string | null | undefined },
  place: string,
): FilePart {
  const file = fileAt(file_data, 'application/pdf', place);
  if (file.data.type === 'url') throw invalid(place, 'must be a data: URL in base64');
  return filename == null ? file : { ...file, filename };
}

function toAssistantParts(given: z.infer<typeof assistantMessage>, place: string): AssistantPart[] {
  const texts = (given.content ?? []).map((part) => (part.type === 'text' ? part.text : part.refusal));
  if (given.refusal != null) texts.push(given.refusal);
  const calls = (given.tool_calls ?? []).map((call, index): AssistantPart => {
    const at = `${place}.tool_calls[${index}].function.arguments`;
    const { name, arguments: text } = call.function;
    return compact({
      type: 'tool-call' as const,
      toolCallId: call.id,
      toolName: name,
      input: parseArguments(text, at),
      providerOptions: call.extra_content ?? undefined,
    });
  });
  const spoken = texts.filter((text) => text !== '').map((text): AssistantPart => ({ type: 'text', text }));
  return [...toReasoning(given), ...spoken, ...calls];
}

/** Blocks come with the signatures that Anthropic wants to see again; a plain text is all that others have. */
function toReasoning(given: z.infer<typeof assistantMessage>): AssistantPart[] {
  if (given.thinking_blocks != null && given.thinking_blocks.length > 0) {
    return given.thinking_blocks.map((block) =>
      block.type === 'thinking'
        ? reasoning(block.thinking, block.signature == null ? {} : { signature: block.signature })
        : reasoning('', { redactedData: block.data }),
    );
  }
  const text = given.reasoning_content ?? given.reasoning ?? '';
  return text === '' ? [] : [{ type: 'reasoning', text }];
}

function reasoning(text: string, anthropic: Record<string, string>): AssistantPart {
  return { type: 'reasoning', text, providerOptions: { anthropic } };
}

function toResponseFormat(format: Request['response_format']): CallOptions['responseFormat'] {
  if (format == null) return undefined;
  if (format.type === 'text') return { type: 'text' };
  if (format.type === 'json_object') return { type: 'json' };
  const { name, description, schema } = format.json_schema;
  return compact({
    type: 'json' as const,
    name,
    description: description ?? undefined,
    schema: schema ?? undefined,
  });
}

function toToolChoice(choice: Request['tool_choice']): CallOptions['toolChoice'] {
  if (choice == null) return undefined;
  if (typeof choice === 'string') return { type: choice };
  return { type: 'tool', toolName: choice.function.name };
}
