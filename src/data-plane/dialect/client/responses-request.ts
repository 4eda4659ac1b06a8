import { z } from 'zod';
import { isObject, type JsonObject } from '../../json-value.ts';
import {
  type AssistantPart,
  type CallOptions,
  compact,
  type FilePart,
  type ToolOutput,
  type UserPart,
} from '../canonical.ts';
import { PromptBuilder } from '../prompt-builder.ts';
import { anything, fileAt, jsonSchema, object, parse, parseArguments, partsOrText } from '../schema.ts';
import { openReasoning } from './responses-reasoning.ts';
import { functionTool, providerOptions, REASONING_LEVELS } from './shared.ts';

const imagePart = z.strictObject({
  type: z.literal('input_image'),
  image_url: z.string(),
  detail: z.enum(['auto', 'low', 'high', 'original']).nullish(),
  file_id: z.null().optional(),
});

const filePart = z.strictObject({
  type: z.literal('input_file'),
  filename: z.string().nullish(),
  file_data: z.string().nullish(),
  file_url: z.string().nullish(),
  file_id: z.null().optional(),
});

const inputText = z.strictObject({ type: z.literal('input_text'), text: z.string() });

const userContent = partsOrText(z.discriminatedUnion('type', [inputText, imagePart, filePart]), 'input_text');

const systemContent = partsOrText(inputText, 'input_text');

const assistantContent = partsOrText(
  z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('output_text'),
      text: z.string(),
      annotations: anything,
      logprobs: anything,
      parsed: anything,
    }),
    z.strictObject({ type: z.literal('refusal'), refusal: z.string() }),
  ]),
  'output_text',
);

/** What items of an earlier answer have besides. */
const place = { id: anything, status: anything };

const message = z.discriminatedUnion('role', [
  z.strictObject({ ...place, type: z.literal('message'), role: z.literal('user'), content: userContent }),
  z.strictObject({
    ...place,
    type: z.literal('message'),
    role: z.enum(['system', 'developer']),
    content: systemContent,
  }),
  z.strictObject({
    ...place,
    type: z.literal('message'),
    role: z.literal('assistant'),
    content: assistantContent,
    phase: anything,
  }),
]);

const functionCall = z.strictObject({
  ...place,
  type: z.literal('function_call'),
  call_id: z.string(),
  name: z.string(),
  arguments: z.string(),
  /** What OpenAI's own client adds to an answer, and sends back with it. */
  parsed_arguments: anything,
});

const functionOutput = z.strictObject({
  ...place,
  type: z.literal('function_call_output'),
  call_id: z.string(),
  output: partsOrText(z.discriminatedUnion('type', [inputText, imagePart, filePart]), 'input_text'),
});

const reasoning = z.strictObject({
  ...place,
  type: z.literal('reasoning'),
  summary: z.array(z.looseObject({ text: z.string() })),
  content: z.array(z.looseObject({ text: z.string() })).nullish(),
  encrypted_content: z.string().nullish(),
});

/** A message may come without its type. */
const item = z.preprocess(
  (value) => (isObject(value) && value.type === undefined ? { ...value, type: 'message' } : value),
  z.discriminatedUnion('type', [message, functionCall, functionOutput, reasoning]),
);

const tool = z.strictObject({
  type: z.literal('function'),
  name: z.string(),
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish(),
});

const toolChoice = z.union(
  [z.enum(['auto', 'none', 'required']), z.strictObject({ type: z.literal('function'), name: z.string() })],
  'expected "auto", "none", "required" or {"type":"function","name"}',
);

const textSettings = z.strictObject({
  format: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('text') }),
      z.strictObject({ type: z.literal('json_object') }),
      z.strictObject({
        type: z.literal('json_schema'),
        name: z.string(),
        description: z.string().nullish(),
        schema: jsonSchema,
        strict: z.boolean().nullish(),
      }),
    ])
    .nullish(),
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
});

const request = z.object({
  input: z.preprocess(
    (value) => (typeof value === 'string' ? [{ role: 'user', content: value }] : value),
    z.array(item),
  ),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  reasoning: z
    .strictObject({
      effort: z.enum(REASONING_LEVELS).nullish(),
      summary: anything,
      generate_summary: anything,
    })
    .nullish(),
  text: textSettings.nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  include: z.array(z.literal('reasoning.encrypted_content')).nullish(),
  stream_options: object.nullish(),
});

type Request = z.infer<typeof request>;
type Item = Request['input'][number];
type ContentPart = z.infer<typeof functionOutput>['output'][number];

/**
 * A request of the Responses API in the canonical form.
 *
 * @throws GatewayError `invalid_request`, with the place as `param`
 */
export function readResponsesRequest(body: JsonObject): CallOptions {
  const given = parse(request, body);
  const format = given.text?.format;
  return compact({
    prompt: toPrompt(given),
    maxOutputTokens: given.max_output_tokens ?? undefined,
    temperature: given.temperature ?? undefined,
    topP: given.top_p ?? undefined,
    reasoning: given.reasoning?.effort ?? undefined,
    responseFormat: toResponseFormat(format),
    tools: given.tools?.map(functionTool),
    toolChoice: toToolChoice(given.tool_choice),
    providerOptions: providerOptions({
      parallelToolCalls: given.parallel_tool_calls,
      textVerbosity: given.text?.verbosity,
      strictJsonSchema: format?.type === 'json_schema' ? (format.strict ?? true) : undefined,
    }),
  });
}

function toPrompt({ input, instructions }: Request): CallOptions['prompt'] {
  const builder = new PromptBuilder();
  builder.system(instructions ?? '');
  for (const [index, each] of input.entries()) addItem(builder, each, `input[${index}]`);
  return builder.prompt;
}

function addItem(builder: PromptBuilder, given: Item, at: string): void {
  if (given.type === 'function_call') {
    const { call_id: toolCallId, name: toolName } = given;
    const input = parseArguments(given.arguments, `${at}.arguments`);
    builder.assistant([{ type: 'tool-call', toolCallId, toolName, input }]);
  } else if (given.type === 'function_call_output') {
    builder.toolResult(given.call_id, toOutput(given.output, `${at}.output`), `${at}.call_id`);
  } else if (given.type === 'reasoning') builder.assistant([toReasoning(given)]);
  else if (given.role === 'user') builder.user(toParts(given.content, `${at}.content`));
  else if (given.role === 'assistant') builder.assistant(given.content.flatMap(toSpoken));
  else builder.system(given.content.map(({ text }) => text).join(''));
}

function toOutput(parts: readonly ContentPart[], at: string): ToolOutput {
  if (parts.every((part) => part.type === 'input_text')) {
    return { type: 'text', value: parts.map((part) => part.text).join('') };
  }
  return { type: 'content', value: toParts(parts, at) };
}

function toParts(parts: readonly ContentPart[], at: string): Extract<UserPart, { type: 'text' | 'file' }>[] {
  return parts.map((part, index) => {
    if (part.type === 'input_text') return { type: 'text', text: part.text };
    if (part.type === 'input_file') return toFile(part, `${at}[${index}]`);
    const file = fileAt(part.image_url, 'image/*', `${at}[${index}].image_url`);
    const { detail } = part;
    return detail == null || detail === 'auto'
      ? file
      : { ...file, providerOptions: { openai: { imageDetail: detail } } };
  });
}

function toFile(part: z.infer<typeof filePart>, at: string): FilePart {
  const isInline = part.file_data != null;
  const address = part.file_data ?? part.file_url ?? '';
  const file = fileAt(address, 'application/pdf', `${at}.${isInline ? 'file_data' : 'file_url'}`);
  return part.filename == null ? file : { ...file, filename: part.filename };
}

function toSpoken(part: z.infer<typeof assistantContent>[number]): AssistantPart[] {
  const text = part.type === 'output_text' ? part.text : part.refusal;
  return text === '' ? [] : [{ type: 'text', text }];
}

function toReasoning({ summary, content, encrypted_content }: z.infer<typeof reasoning>): AssistantPart {
  const texts = content != null && content.length > 0 ? content : summary;
  return compact({
    type: 'reasoning' as const,
    text: texts.map(({ text }) => text).join('\n'),
    providerOptions: openReasoning(encrypted_content ?? null),
  });
}

function toResponseFormat(format: z.infer<typeof textSettings>['format']): CallOptions['responseFormat'] {
  if (format == null) return undefined;
  if (format.type === 'text') return { type: 'text' };
  if (format.type === 'json_object') return { type: 'json' };
  const { name, description, schema } = format;
  return compact({ type: 'json' as const, name, description: description ?? undefined, schema });
}

function toToolChoice(choice: Request['tool_choice']): CallOptions['toolChoice'] {
  if (choice == null) return undefined;
  if (typeof choice === 'string') return { type: choice };
  return { type: 'tool', toolName: choice.name };
}
