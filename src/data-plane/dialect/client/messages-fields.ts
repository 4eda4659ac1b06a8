import { type FieldTable, ignored, read, refused } from '../fields.ts';

/**
 * The fields of `POST /v1/messages`.
 * Source: Anthropic's API reference, heading "Create a Message".
 */
export const MESSAGES_FIELDS: FieldTable = Object.freeze({
  model: read('which deployment; its upstream gets its own name'),
  messages: read('the prompt'),
  system: read('a system message before the prompt'),
  stream: read('whether the answer is a stream'),
  max_tokens: read('as it is', 'maxOutputTokens'),
  temperature: read('as it is', 'temperature'),
  top_p: read('as it is', 'topP'),
  top_k: read('as it is', 'topK'),
  stop_sequences: read('as it is', 'stopSequences'),
  thinking: read(
    '`enabled`: the effort by `budget_tokens`, low up to 2048, medium up to 8192, then high; `adaptive` and `disabled`: as the model does by itself',
    'reasoning',
  ),
  output_config: read('`format`; `effort` wins over `thinking`', 'responseFormat'),
  output_format: read('the same as `output_config.format`'),
  tools: read('tools of the client; those that run at Anthropic are refused', 'tools'),
  tool_choice: read('`auto`, `any`, `none` or one tool', 'toolChoice'),
  metadata: ignored('an id for abuse reports'),
  cache_control: ignored("a hint for Anthropic's cache, here and in every block"),
  context_management: ignored('what it would clear stays in the prompt'),
  service_tier: refused('there are no such tiers', 'auto', 'standard_only'),
  container: refused('there are no containers'),
  mcp_servers: refused('the upstream does not call MCP servers', []),
  inference_geo: refused('the region is where the upstream is'),
  speed: refused('there is no such mode', 'standard'),
});
