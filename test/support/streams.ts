import { DONE } from './upstream.ts';

/** One event of a Responses stream. */
export function typed(type: string, fields: Record<string, unknown> = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** A whole answer of `/v1/responses` that says `text`. */
export function responseOf(text: string, fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_700_000_000,
    model: 'gpt-4o',
    status: 'completed',
    output: [messageOf(text)],
    usage: { input_tokens: 9, output_tokens: 3, total_tokens: 12 },
    ...fields,
  };
}

/** A whole Responses stream that says `words`; `last` is the type of the event that ends it. */
export function responseStream(words: readonly string[], last = 'response.completed'): string[] {
  const text = words.join('');
  const place = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  return [
    typed('response.created', { response: responseOf('', { status: 'in_progress', output: [] }) }),
    typed('response.output_item.added', { output_index: 0, item: { ...messageOf(''), content: [] } }),
    typed('response.content_part.added', {
      ...place,
      part: { type: 'output_text', text: '', annotations: [] },
    }),
    ...words.map((delta) => typed('response.output_text.delta', { ...place, delta })),
    typed('response.output_item.done', { output_index: 0, item: messageOf(text) }),
    typed(last, { response: responseOf(text) }),
  ];
}

/** A whole stream of text completions that says `words`, with usage. */
export function textStream(words: readonly string[]): string[] {
  const chunk = (fields: object): string =>
    `data: ${JSON.stringify({ id: 'cmpl-1', object: 'text_completion', created: 1, model: 'gpt-4o', ...fields })}\n\n`;
  return [
    ...words.map((text) => chunk({ choices: [{ index: 0, text, logprobs: null, finish_reason: null }] })),
    chunk({ choices: [{ index: 0, text: '', logprobs: null, finish_reason: 'stop' }] }),
    chunk({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }),
    DONE,
  ];
}

/** A whole answer of `/v1/messages` that says `text`. */
export function anthropicMessage(
  text: string,
  fields: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-sonnet-4-5',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 9, output_tokens: 3 },
    ...fields,
  };
}

/** A whole stream of `/v1/messages` that says `words`. */
export function anthropicStream(words: readonly string[]): string[] {
  const message = anthropicMessage('', {
    content: [],
    stop_reason: null,
    usage: { input_tokens: 9, output_tokens: 1 },
  });
  return [
    typed('message_start', { message }),
    typed('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    typed('ping'),
    ...words.map((text) => typed('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    typed('content_block_stop', { index: 0 }),
    typed('message_delta', {
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: 3 },
    }),
    typed('message_stop'),
  ];
}

function messageOf(text: string): Record<string, unknown> {
  const content = [{ type: 'output_text', text, annotations: [] }];
  return { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content };
}
