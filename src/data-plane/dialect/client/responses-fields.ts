import { type FieldTable, ignored, read, refused } from '../fields.ts';

/**
 * The fields of `POST /v1/responses`.
 * Source: OpenAI's API reference, heading "Create a model response".
 */
export const RESPONSES_FIELDS: FieldTable = Object.freeze({
  model: read('which deployment; its upstream gets its own name'),
  input: read('the prompt: messages, function calls and their outputs, reasoning'),
  instructions: read('a system message before the prompt'),
  stream: read('whether the answer is a stream'),
  max_output_tokens: read('as it is', 'maxOutputTokens'),
  temperature: read('as it is', 'temperature'),
  top_p: read('as it is', 'topP'),
  reasoning: read('`effort`; `summary` is ignored, since what is there of reasoning is shown', 'reasoning'),
  text: read('`format`, and `verbosity` as the setting `textVerbosity`', 'responseFormat'),
  tools: read('function tools; others are refused', 'tools'),
  tool_choice: read('`auto`, `none`, `required` or one function', 'toolChoice'),
  parallel_tool_calls: read('as it is', 'parallelToolCalls'),
  include: read('`reasoning.encrypted_content`; others are refused'),
  stream_options: ignored('`include_obfuscation`: events are not padded'),
  user: ignored('an id for abuse reports'),
  safety_identifier: ignored('an id for abuse reports'),
  metadata: ignored('labels; the answer shows them'),
  prompt_cache_key: ignored("a hint for OpenAI's cache"),
  prompt_cache_retention: ignored("a hint for OpenAI's cache"),
  client_metadata: ignored('labels of coding agents'),
  store: refused('answers are not stored for later', false),
  service_tier: refused('there are no such tiers', 'auto', 'default'),
  truncation: refused('prompts are not cut', 'disabled'),
  top_logprobs: refused('there are no log probabilities', 0),
  background: refused('answers do not run in the background', false),
  previous_response_id: refused('answers are not stored: send the whole conversation as `input`'),
  conversation: refused('conversations are not stored: send the whole of it as `input`'),
  context_management: refused('contexts are not compacted'),
  max_tool_calls: refused('there are no built-in tools'),
  moderation: refused('there is no such check'),
  prompt: refused('there are no stored prompts'),
});
