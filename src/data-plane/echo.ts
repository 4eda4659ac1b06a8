import { GatewayError } from '../errors.ts';
import type { ProviderPhase } from '../pipeline/types.ts';
import type { LlmRequest } from '../plugin-api/llm.ts';
import type { ProviderResponse } from '../plugin-api/provider.ts';
import type { Candidate } from '../plugin-api/routing.ts';
import { objectsIn } from './json-value.ts';
import { DONE_EVENT, encodeEvent } from './sse.ts';
import { toChunks, wantsUsage } from './surface/chat.ts';

/** Characters that count as one token, OpenAI's rule of thumb for English text. */
const CHARS_PER_TOKEN = 4;
/** Words per chunk of a stream. */
const WORDS_PER_CHUNK = 2;

/**
 * The built-in model: it answers with the last user message, so that a first request succeeds without any key. Tokens
 * are counted as a quarter of the characters, rounded up. It is a provider like those of plugins.
 *
 * @param now epoch milliseconds
 */
export function createEchoProvider(now: () => number): ProviderPhase {
  return {
    async chat(request, deployment): Promise<ProviderResponse> {
      const completion = echo(request, deployment, now());
      if (!request.stream)
        return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(completion.body) };
      return { status: 200, headers: SSE_HEADERS, body: stream(request, completion) };
    },
    languageModel: null,
    embeddingModel: null,
  };
}

const JSON_HEADERS = { 'content-type': 'application/json' };
const SSE_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8' };

interface EchoCompletion {
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

function echo(request: LlmRequest, deployment: Candidate, now: number): EchoCompletion {
  const messages = readMessages(request.body);
  const text = textOfMessage(messages.findLast((message) => message.role === 'user'));
  const prompt = countTokens(messages.map(textOfMessage).join(''));
  const completion = countTokens(text);
  const body = {
    id: `chatcmpl-${request.id}`,
    object: 'chat.completion',
    created: Math.floor(now / 1000),
    model: deployment.group,
    choices: [
      { index: 0, message: { role: 'assistant', content: text }, logprobs: null, finish_reason: 'stop' },
    ],
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
  };
  return { text, body };
}

async function* stream(request: LlmRequest, { text, body }: EchoCompletion): AsyncGenerator<Buffer> {
  const [whole, ...ends] = toChunks(body, wantsUsage(request.body));
  const { choices: _choices, ...head } = whole ?? {};
  const event = (delta: Readonly<Record<string, unknown>>): Buffer =>
    encodeEvent({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: null }] });

  yield event({ role: 'assistant', content: '' });
  for (const content of pieces(text)) yield event({ content });
  for (const end of ends) yield encodeEvent(end);
  yield DONE_EVENT;
}

function* pieces(text: string): Generator<string> {
  const words = text.match(/\S*\s*/g)?.filter((word) => word !== '') ?? [];
  for (let at = 0; at < words.length; at += WORDS_PER_CHUNK) {
    yield words.slice(at, at + WORDS_PER_CHUNK).join('');
  }
}

function readMessages(body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>[] {
  const messages = objectsIn(body.messages);
  if (messages.length > 0) return messages;
  throw new GatewayError('invalid_request', 'The parameter "messages" must be a list of messages', {
    param: 'messages',
  });
}

function textOfMessage(message: Readonly<Record<string, unknown>> | undefined): string {
  const content = message?.content;
  if (typeof content === 'string') return content;
  return objectsIn(content)
    .map((part) => (typeof part.text === 'string' ? part.text : ''))
    .join('');
}

function countTokens(text: string): number {
  return Math.ceil(text.length / CHARS_PER_TOKEN);
}
