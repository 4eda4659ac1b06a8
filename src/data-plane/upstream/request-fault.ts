/** What is wrong with a request that a model with other limits may still serve. */
export type RequestFault = 'context_window' | 'content_policy';

/** Codes of OpenAI, Azure and those that follow them. */
const CODES: ReadonlyMap<string, RequestFault> = new Map([
  ['context_length_exceeded', 'context_window'],
  ['string_above_max_length', 'context_window'],
  ['content_filter', 'content_policy'],
  ['content_policy_violation', 'content_policy'],
]);

/**
 * Providers without a code of their own for it say it in words: Anthropic "prompt is too long: 210000 tokens > 200000
 * maximum", vLLM "This model's maximum context length is …", Google "The input token count … exceeds the maximum
 * number of tokens allowed", Bedrock "Input is too long for requested model", llama.cpp "the request exceeds the
 * available context size".
 */
const TOO_LONG: RegExp =
  /(prompt|input) is too long|(maximum|exceeds?\b.{0,40}) context (length|window|size)|input token count.{0,60}exceeds|context window (is )?exceeded/i;

const REFUSED: RegExp =
  /content (management|filtering|moderation) (policy|filter)|violat\w+ .{0,40}content polic|(safety|moderation) system/i;

/** Why a provider has refused a request, as far as its error tells; `null` for anything else. */
export function faultOf(code: string | null, message: string | null): RequestFault | null {
  const known = code === null ? undefined : CODES.get(code);
  if (known !== undefined) return known;
  if (message === null) return null;
  if (TOO_LONG.test(message)) return 'context_window';
  return REFUSED.test(message) ? 'content_policy' : null;
}
