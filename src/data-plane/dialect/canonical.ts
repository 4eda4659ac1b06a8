import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FilePart,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4StreamPart,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolResultPart,
  LanguageModelV4Usage,
} from '@ai-sdk/provider';

/**
 * The form between dialects: the AI SDK's provider specification, version 4. Its types alone are used; nothing of the
 * package is loaded.
 */
export type CallOptions = Pick<
  LanguageModelV4CallOptions,
  | 'prompt'
  | 'maxOutputTokens'
  | 'temperature'
  | 'topP'
  | 'topK'
  | 'stopSequences'
  | 'seed'
  | 'presencePenalty'
  | 'frequencyPenalty'
  | 'responseFormat'
  | 'reasoning'
  | 'tools'
  | 'toolChoice'
  | 'providerOptions'
>;

export type Message = LanguageModelV4Message;
export type AssistantPart = Extract<Message, { role: 'assistant' }>['content'][number];
export type UserPart = Extract<Message, { role: 'user' }>['content'][number];
export type FilePart = LanguageModelV4FilePart;
export type ToolCallPart = LanguageModelV4ToolCallPart;
export type ToolResultPart = LanguageModelV4ToolResultPart;
export type ToolOutput = ToolResultPart['output'];
export type FunctionTool = LanguageModelV4FunctionTool;
/** A JSON schema; its meaning is the model's business. */
export type Schema = Record<string, unknown>;
export type StreamPart = LanguageModelV4StreamPart;
export type Finish = Extract<StreamPart, { type: 'finish' }>;
export type Usage = LanguageModelV4Usage;
export type Reasoning = NonNullable<CallOptions['reasoning']>;
/** What a provider says of a part besides, for example the signature of its reasoning. */
export type Metadata = NonNullable<FilePart['providerOptions']>;

/** What a request may set besides its prompt. The last two have no field of their own in the specification. */
export const SETTINGS = [
  'maxOutputTokens',
  'temperature',
  'topP',
  'topK',
  'stopSequences',
  'seed',
  'presencePenalty',
  'frequencyPenalty',
  'responseFormat',
  'reasoning',
  'tools',
  'toolChoice',
  'parallelToolCalls',
  'textVerbosity',
] as const;

export type Setting = (typeof SETTINGS)[number];

/** The value of a setting, `undefined` when the request leaves it to the model. */
export function settingOf(options: CallOptions, setting: Setting): unknown {
  if (setting !== 'parallelToolCalls' && setting !== 'textVerbosity') return options[setting];
  // Where the AI SDK's own provider for OpenAI looks for them.
  return options.providerOptions?.openai?.[setting];
}

/** A part's text from a provider's metadata, for example `textOf(part.providerOptions, 'anthropic', 'signature')`. */
export function metadataText(
  metadata: Metadata | undefined,
  provider: string,
  key: string,
): string | undefined {
  const value = metadata?.[provider]?.[key];
  return typeof value === 'string' ? value : undefined;
}

/** Bytes of a file in base64. */
export function toBase64(data: Uint8Array | string): string {
  return typeof data === 'string' ? data : Buffer.from(data).toString('base64');
}

type Compact<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** An object without the members that are `undefined`. */
export function compact<T extends object>(fields: T): Compact<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Compact<T>;
}
