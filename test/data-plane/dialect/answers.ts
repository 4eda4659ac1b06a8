import { typed } from '../../support/streams.ts';
import { DONE, event, json, type Script, stream } from '../../support/upstream.ts';

/** What a model says, whatever dialect its upstream speaks. */
export interface Said {
  readonly reasoning?: string;
  readonly signature?: string;
  readonly text?: string;
  readonly calls?: readonly { readonly id: string; readonly name: string; readonly input: string }[];
  readonly finish: 'stop' | 'length' | 'tool-calls' | 'content-filter';
  readonly usage: { readonly input: number; readonly cached: number; readonly output: number };
}

/** The answers of upstreams in the vendors' wire formats, in one piece and as events. */
export interface Vendor {
  answer(said: Said): Script;
  events(said: Said): readonly string[];
}

const CHAT_REASONS = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
};

/** OpenAI's API reference, "The chat completion object" and "The chat completion chunk object". */
export const CHAT_VENDOR: Vendor = {
  answer(said) {
    const calls = said.calls?.map(({ id, name, input }) => ({
      id,
      type: 'function',
      function: { name, arguments: input },
    }));
    return json({
      id: 'chatcmpl-up',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'gpt-4o-2024-08-06',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: said.text ?? null,
            refusal: null,
            ...(said.reasoning === undefined ? {} : { reasoning_content: said.reasoning }),
            ...(calls === undefined ? {} : { tool_calls: calls }),
          },
          logprobs: null,
          finish_reason: CHAT_REASONS[said.finish],
        },
      ],
      usage: chatUsage(said),
    });
  },
  events(said) {
    const delta = (fields: object): string =>
      event({ choices: [{ index: 0, delta: fields, logprobs: null, finish_reason: null }], usage: null });
    return [
      delta({ role: 'assistant', content: '', refusal: null }),
      ...halves(said.reasoning).map((part) => delta({ reasoning_content: part })),
      ...halves(said.text).map((part) => delta({ content: part })),
      ...(said.calls ?? []).flatMap(({ id, name, input }, index) => [
        delta({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] }),
        ...halves(input).map((part) => delta({ tool_calls: [{ index, function: { arguments: part } }] })),
      ]),
      event({ choices: [{ index: 0, delta: {}, finish_reason: CHAT_REASONS[said.finish] }], usage: null }),
      event({ choices: [], usage: chatUsage(said) }),
      DONE,
    ];
  },
};

const ANTHROPIC_REASONS = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
};

/** Anthropic's API reference, "Create a Message" and "Streaming messages". */
export const ANTHROPIC_VENDOR: Vendor = {
  answer: (said) =>
    json({
      id: 'msg_up',
      type: 'message',
      role: 'assistant',
      model: 'claude-sonnet-4-5-20250929',
      content: anthropicBlocks(said).map(({ block }) => block),
      stop_reason: ANTHROPIC_REASONS[said.finish],
      stop_sequence: null,
      usage: anthropicUsage(said),
    }),
  events: (said) => [
    typed('message_start', {
      message: {
        id: 'msg_up',
        type: 'message',
        role: 'assistant',
        model: 'claude-sonnet-4-5-20250929',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...anthropicUsage(said), output_tokens: 1 },
      },
    }),
    typed('ping'),
    ...anthropicBlocks(said).flatMap(({ begun, deltas }, index) => [
      typed('content_block_start', { index, content_block: begun }),
      ...deltas.map((delta) => typed('content_block_delta', { index, delta })),
      typed('content_block_stop', { index }),
    ]),
    typed('message_delta', {
      delta: { stop_reason: ANTHROPIC_REASONS[said.finish], stop_sequence: null },
      usage: { output_tokens: said.usage.output },
    }),
    typed('message_stop'),
  ],
};

/** Answers as `stream` asks. */
export function says({ answer, events }: Vendor, said: Said): Script {
  return (request, res, socket) => {
    const { stream: wanted } = JSON.parse(request.body.toString()) as { stream?: boolean };
    const script = wanted === true ? stream([...events(said)]) : answer(said);
    return script(request, res, socket);
  };
}

function anthropicBlocks(said: Said): { block: object; begun: object; deltas: object[] }[] {
  const blocks: { block: object; begun: object; deltas: object[] }[] = [];
  const { reasoning, signature = '', text, calls = [] } = said;
  if (reasoning !== undefined) {
    blocks.push({
      block: { type: 'thinking', thinking: reasoning, signature },
      begun: { type: 'thinking', thinking: '', signature: '' },
      deltas: [
        ...halves(reasoning).map((thinking) => ({ type: 'thinking_delta', thinking })),
        { type: 'signature_delta', signature },
      ],
    });
  }
  if (text !== undefined) {
    blocks.push({
      block: { type: 'text', text },
      begun: { type: 'text', text: '' },
      deltas: halves(text).map((part) => ({ type: 'text_delta', text: part })),
    });
  }
  for (const { id, name, input } of calls) {
    const call = { type: 'tool_use', id, name };
    const deltas = input === '{}' ? [] : halves(input);
    blocks.push({
      block: { ...call, input: JSON.parse(input) as unknown },
      begun: { ...call, input: {} },
      deltas: deltas.map((partial_json) => ({ type: 'input_json_delta', partial_json })),
    });
  }
  return blocks;
}

function chatUsage({ usage }: Said): object {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cached, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

function anthropicUsage({ usage }: Said): object {
  return {
    input_tokens: usage.input - usage.cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: usage.cached,
    output_tokens: usage.output,
  };
}

function halves(text: string | undefined): string[] {
  if (text === undefined) return [];
  const middle = Math.ceil(text.length / 2);
  return [text.slice(0, middle), text.slice(middle)].filter((part) => part !== '');
}
