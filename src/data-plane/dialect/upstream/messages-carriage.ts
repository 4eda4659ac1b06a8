import { type CarriageTable, kept, mapped, notCarried } from '../fields.ts';

/** What an upstream that speaks Anthropic's Messages API can carry. */
export const MESSAGES_CARRIAGE: CarriageTable = Object.freeze({
  settings: {
    maxOutputTokens: mapped(
      '`max_tokens`, which the API asks for: without one 4096, and 32000 when the model is to think',
    ),
    temperature: kept('`temperature`, which goes from 0 to 1 there'),
    topP: kept('`top_p`'),
    topK: kept('`top_k`'),
    stopSequences: kept('`stop_sequences`'),
    seed: notCarried('the Messages API has no seed'),
    presencePenalty: notCarried('the Messages API has no penalties'),
    frequencyPenalty: notCarried('the Messages API has no penalties'),
    responseFormat: mapped('`output_config.format`; JSON without a schema is refused'),
    reasoning: mapped(
      '`thinking`: `adaptive` with `output_config.effort`, for models before Claude 4.6 a budget (1024 tokens for `minimal`, 2048, 8192, 16384, above that 24576); `none` is `disabled`',
    ),
    tools: kept('`tools`'),
    toolChoice: mapped('`tool_choice`; `required` is `any`'),
    parallelToolCalls: mapped('`tool_choice.disable_parallel_tool_use`'),
    textVerbosity: notCarried('the Messages API has no verbosity'),
  },
  parts: {
    image: kept('`image`'),
    pdf: kept('`document`'),
    audio: notCarried('the Messages API takes no audio'),
    textFile: mapped('`document` with a text'),
    otherFile: notCarried('the Messages API takes images, PDF and text'),
    uploadedFile: notCarried('files that were uploaded to another provider are not there'),
  },
});
