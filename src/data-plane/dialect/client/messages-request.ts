import { z } from 'zod';
import type { JsonObject } from '../../json-value.ts';
import {
  type AssistantPart,
  type CallOptions,
  compact,
  type FilePart,
  type Metadata,
  type Reasoning,
  type ToolOutput,
} from '../canonical.ts';
import { PromptBuilder } from '../prompt-builder.ts';
import { anything, fileAt, jsonSchema, object, parse, partsOrText } from '../schema.ts';
import { providerOptions } from './shared.ts';

/** Hints for Anthropic's cache. */
const cached = { cache_control: anything };

/** Citations that an earlier answer had; `{"enabled":false}` on documents. */
const textBlock = z.strictObject({
  ...cached,
  type: z.literal('text'),
  text: z.string(),
  citations: anything,
});

const base64 = z.strictObject({ type: z.literal('base64'), media_type: z.string(), data: z.string() });
const address = z.strictObject({ type: z.literal('url'), url: z.string() });

const imageBlock = z.strictObject({
  ...cached,
  type: z.literal('image'),
  source: z.discriminatedUnion('type', [base64, address]),
});

const documentBlock = z.strictObject({
  ...cached,
  type: z.literal('document'),
  source: z.discriminatedUnion('type', [
    base64,
    address,
    z.strictObject({ type: z.literal('text'), media_type: z.string(), data: z.string() }),
  ]),
  title: z.string().nullish(),
  citations: z.strictObject({ enabled: z.literal(false).optional() }).nullish(),
});

const resultBlock = z.strictObject({
  ...cached,
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  content: partsOrText(
    z.discriminatedUnion('type', [textBlock, imageBlock, documentBlock]),
    'text',
  ).nullish(),
  is_error: z.boolean().nullish(),
});

const userBlock = z.discriminatedUnion('type', [textBlock, imageBlock, documentBlock, resultBlock]);

const assistantBlock = z.discriminatedUnion('type', [
  textBlock,
  z.strictObject({ ...cached, type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
  z.strictObject({ ...cached, type: z.literal('redacted_thinking'), data: z.string() }),
  z.strictObject({
    ...cached,
    type: z.literal('tool_use'),
    id: z.string(),
    name: z.string(),
    input: object,
    caller: anything,
  }),
]);

const message = z.discriminatedUnion('role', [
  z.strictObject({ role: z.literal('user'), content: partsOrText(userBlock, 'text') }),
  z.strictObject({ role: z.literal('assistant'), content: partsOrText(assistantBlock, 'text') }),
  z.strictObject({ role: z.literal('system'), content: partsOrText(textBlock, 'text') }),
]);

const tool = z.strictObject({
  ...cached,
  type: z.literal('custom').nullish(),
  name: z.string(),
  description: z.string().nullish(),
  input_schema: jsonSchema,
  input_examples: z.array(object).nullish(),
  strict: z.boolean().nullish(),
  eager_input_streaming: anything,
});

const once = { disable_parallel_tool_use: z.boolean().nullish() };

const toolChoice = z.discriminatedUnion('type', [
  z.strictObject({ ...once, type: z.literal('auto') }),
  z.strictObject({ ...once, type: z.literal('any') }),
  z.strictObject({ ...once, type: z.literal('tool'), name: z.string() }),
  z.strictObject({ type: z.literal('none') }),
]);

const format = z.strictObject({ type: z.literal('json_schema'), schema: jsonSchema });

const request = z.object({
  messages: z.array(message).min(1, 'expected at least one message'),
  system: partsOrText(textBlock, 'text').nullish(),
  max_tokens: z.int().min(1, 'expected at least 1'),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  top_k: z.int().nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  thinking: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('enabled'), budget_tokens: z.int(), display: anything }),
      z.strictObject({ type: z.literal('adaptive'), display: anything }),
      z.strictObject({ type: z.literal('disabled') }),
    ])
    .nullish(),
  output_config: z
    .strictObject({
      effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish(),
      format: format.nullish(),
    })
    .nullish(),
  output_format: format.nullish(),
  tools: z.array(tool).nullish(),
  tool_choice: toolChoice.nullish(),
});

type Request = z.infer<typeof request>;
type UserBlock = z.infer<typeof userBlock>;
type ResultBlock = z.infer<typeof resultBlock>;

/**
 * A request of the Messages API in the canonical form.
 *
 * @throws GatewayError `invalid_request`, with the place as `param`
 */
export function readMessagesRequest(body: JsonObject): CallOptions {
  const given = parse(request, body);
  const choice = given.tool_choice;
  const schema = (given.output_config?.format ?? given.output_format)?.schema;
  return compact({
    prompt: toPrompt(given),
    maxOutputTokens: given.max_tokens,
    temperature: given.temperature ?? undefined,
    topP: given.top_p ?? undefined,
    topK: given.top_k ?? undefined,
    stopSequences: given.stop_sequences ?? undefined,
    reasoning: toReasoning(given),
    responseFormat: schema === undefined ? undefined : { type: 'json' as const, name: 'response', schema },
    tools: given.tools?.map(toTool),
    toolChoice: toToolChoice(choice),
    providerOptions: providerOptions({
      parallelToolCalls: choice == null || choice.type === 'none' ? undefined : parallel(choice),
      textVerbosity: undefined,
      strictJsonSchema: schema === undefined ? undefined : true,
    }),
  });
}

function toPrompt({ system, messages }: Request): CallOptions['prompt'] {
  const builder = new PromptBuilder();
  for (const { text } of system ?? []) builder.system(text);
  for (const [index, each] of messages.entries()) {
    const at = `messages[${index}].content`;
    if (each.role === 'assistant') builder.assistant(each.content.flatMap(toAssistantPart));
    else if (each.role === 'system') for (const { text } of each.content) builder.system(text);
    else addUser(builder, each.content, at);
  }
  return builder.prompt;
}

/** Results of tools stand before what the user says beside them: both other dialects want them there. */
function addUser(builder: PromptBuilder, blocks: readonly UserBlock[], at: string): void {
  for (const [index, block] of blocks.entries()) {
    if (block.type !== 'tool_result') continue;
    const place = `${at}[${index}]`;
    builder.toolResult(block.tool_use_id, toOutput(block, `${place}.content`), `${place}.tool_use_id`);
  }
  builder.user(
    blocks.flatMap((block, index) =>
      block.type === 'tool_result' ? [] : [toPart(block, `${at}[${index}]`)],
    ),
  );
}

function toPart(
  block: Exclude<UserBlock, ResultBlock>,
  at: string,
): FilePart | { type: 'text'; text: string } {
  if (block.type === 'text') return { type: 'text', text: block.text };
  const file = toFile(block, at);
  return block.type === 'image' || block.title == null ? file : { ...file, filename: block.title };
}

function toFile(
  { type, source }: z.infer<typeof imageBlock> | z.infer<typeof documentBlock>,
  at: string,
): FilePart {
  if (source.type === 'url') {
    return fileAt(source.url, type === 'image' ? 'image/*' : 'application/pdf', `${at}.source.url`);
  }
  const { media_type: mediaType, data } = source;
  if (source.type === 'text') return { type: 'file', mediaType, data: { type: 'text', text: data } };
  return { type: 'file', mediaType, data: { type: 'data', data } };
}

function toOutput({ content, is_error }: ResultBlock, at: string): ToolOutput {
  const blocks = content ?? [];
  if (blocks.every((block) => block.type === 'text')) {
    const value = blocks.map((block) => block.text).join('');
    return { type: is_error === true ? 'error-text' : 'text', value };
  }
  const value = blocks.map((block, index) => toPart(block, `${at}[${index}]`));
  return {
    type: 'content',
    value: is_error === true ? [{ type: 'text', text: ERROR_MARK }, ...value] : value,
  };
}

/** The other dialects have no mark for results that are errors. */
const ERROR_MARK = 'Error:';

function toAssistantPart(block: z.infer<typeof assistantBlock>): AssistantPart[] {
  if (block.type === 'text') return block.text === '' ? [] : [{ type: 'text', text: block.text }];
  if (block.type === 'tool_use') {
    return [{ type: 'tool-call', toolCallId: block.id, toolName: block.name, input: block.input }];
  }
  const isOpen = block.type === 'thinking';
  const anthropic: Metadata[string] = isOpen ? { signature: block.signature } : { redactedData: block.data };
  return [{ type: 'reasoning', text: isOpen ? block.thinking : '', providerOptions: { anthropic } }];
}

function toTool({ name, description, input_schema, input_examples, strict }: z.infer<typeof tool>) {
  return compact({
    type: 'function' as const,
    name,
    description: description ?? undefined,
    inputSchema: input_schema,
    inputExamples: input_examples?.map((input) => ({ input: input as Metadata[string] })),
    strict: strict ?? undefined,
  });
}

/** Most tokens of a budget that count as little effort, and as some. */
const LOW_BUDGET = 2048;
const MEDIUM_BUDGET = 8192;

function toReasoning({ thinking, output_config }: Request): Reasoning | undefined {
  if (output_config?.effort != null) return output_config.effort;
  if (thinking?.type !== 'enabled') return undefined;
  if (thinking.budget_tokens <= LOW_BUDGET) return 'low';
  return thinking.budget_tokens <= MEDIUM_BUDGET ? 'medium' : 'high';
}

function toToolChoice(choice: Request['tool_choice']): CallOptions['toolChoice'] {
  if (choice == null) return undefined;
  if (choice.type === 'tool') return { type: 'tool', toolName: choice.name };
  return { type: choice.type === 'any' ? 'required' : choice.type };
}

function parallel(choice: { disable_parallel_tool_use?: boolean | null | undefined }): boolean | undefined {
  return choice.disable_parallel_tool_use === true ? false : undefined;
}
