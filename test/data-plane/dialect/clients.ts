import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Said } from './answers.ts';

/** The kinds of requests that every dialect can make. */
export type Scenario = 'text' | 'tools' | 'images' | 'structured' | 'reasoning';

/** A dialect as its vendor's own client speaks it: whole answers and streams that it puts together. */
export interface Client {
  readonly name: string;
  readonly bodies: Readonly<Record<Scenario, Record<string, unknown>>>;
  ask(url: string, body: Record<string, unknown>): Promise<Said>;
  stream(url: string, body: Record<string, unknown>): Promise<Said>;
}

export const PIXEL: string = 'iVBORw0KGgo=';
export const PICTURE: string = 'https://example.com/cat.png';
export const SCHEMA: Readonly<Record<string, unknown>> = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};

const SETTINGS = { temperature: 0.5 };
const FUNCTION = { name: 'weather', description: 'The weather of a city', parameters: SCHEMA };

export const CHAT_CLIENT: Client = {
  name: 'chat',
  bodies: {
    text: {
      ...SETTINGS,
      max_completion_tokens: 5000,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: 'Hi.' },
        { role: 'user', content: [{ type: 'text', text: 'How are you?' }] },
      ],
    },
    tools: {
      max_completion_tokens: 5000,
      messages: [
        { role: 'user', content: 'Weather in Oslo and Rome?' },
        {
          role: 'assistant',
          content: null,
          refusal: null,
          tool_calls: [
            {
              id: 'call_1',
              type: 'function',
              function: { name: 'weather', arguments: '{"city":"Oslo"}' },
            },
          ],
        },
        { role: 'tool', tool_call_id: 'call_1', content: 'Rain' },
      ],
      tools: [{ type: 'function', function: FUNCTION }],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      parallel_tool_calls: false,
    },
    images: {
      max_completion_tokens: 5000,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Compare' },
            { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } },
            { type: 'image_url', image_url: { url: PICTURE } },
          ],
        },
      ],
    },
    structured: {
      max_completion_tokens: 5000,
      messages: [{ role: 'user', content: 'Where?' }],
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'response', strict: true, schema: SCHEMA },
      },
    },
    reasoning: {
      max_completion_tokens: 5000,
      messages: [{ role: 'user', content: 'Think' }],
      reasoning_effort: 'medium',
    },
  },
  async ask(url, body) {
    return fromCompletion(await openai(url).chat.completions.create(body as never));
  },
  async stream(url, body) {
    const options = { ...body, stream: true, stream_options: { include_usage: true } };
    const runner = openai(url).chat.completions.stream(options as never);
    // The client adds up what it knows; reasoning it only hands on.
    let reasoning = '';
    runner.on('chunk', ({ choices }) => {
      const delta = choices[0]?.delta as { reasoning_content?: string } | undefined;
      reasoning += delta?.reasoning_content ?? '';
    });
    const said = fromCompletion(await runner.finalChatCompletion());
    return reasoning === '' ? said : { ...said, reasoning };
  },
};

export const RESPONSES_CLIENT: Client = {
  name: 'responses',
  bodies: {
    text: {
      ...SETTINGS,
      max_output_tokens: 5000,
      instructions: 'Be brief.',
      input: [
        { role: 'user', content: 'Hello' },
        {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Hi.', annotations: [] }],
        },
        {
          type: 'message',
          role: 'user',
          content: [{ type: 'input_text', text: 'How are you?' }],
        },
      ],
    },
    tools: {
      max_output_tokens: 5000,
      input: [
        { role: 'user', content: 'Weather in Oslo and Rome?' },
        { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' },
        { type: 'function_call_output', call_id: 'call_1', output: 'Rain' },
      ],
      tools: [{ type: 'function', ...FUNCTION }],
      tool_choice: { type: 'function', name: 'weather' },
      parallel_tool_calls: false,
    },
    images: {
      max_output_tokens: 5000,
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Compare' },
            { type: 'input_image', detail: 'auto', image_url: `data:image/png;base64,${PIXEL}` },
            { type: 'input_image', detail: 'auto', image_url: PICTURE },
          ],
        },
      ],
    },
    structured: {
      max_output_tokens: 5000,
      input: 'Where?',
      text: { format: { type: 'json_schema', name: 'response', strict: true, schema: SCHEMA } },
    },
    reasoning: {
      max_output_tokens: 5000,
      input: 'Think',
      reasoning: { effort: 'medium', summary: 'auto' },
      include: ['reasoning.encrypted_content'],
    },
  },
  async ask(url, body) {
    return fromResponse(await openai(url).responses.create(body as never));
  },
  async stream(url, body) {
    return fromResponse(
      await openai(url)
        .responses.stream(body as never)
        .finalResponse(),
    );
  },
};

export const MESSAGES_CLIENT: Client = {
  name: 'messages',
  bodies: {
    text: {
      ...SETTINGS,
      max_tokens: 5000,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: [{ type: 'text', text: 'Hi.' }] },
        { role: 'user', content: [{ type: 'text', text: 'How are you?' }] },
      ],
    },
    tools: {
      max_tokens: 5000,
      messages: [
        { role: 'user', content: 'Weather in Oslo and Rome?' },
        {
          role: 'assistant',
          content: [{ type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Oslo' } }],
        },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'Rain' }] },
      ],
      tools: [{ name: 'weather', description: 'The weather of a city', input_schema: SCHEMA }],
      tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
    },
    images: {
      max_tokens: 5000,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Compare' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } },
            { type: 'image', source: { type: 'url', url: PICTURE } },
          ],
        },
      ],
    },
    structured: {
      max_tokens: 5000,
      messages: [{ role: 'user', content: 'Where?' }],
      output_config: { format: { type: 'json_schema', schema: SCHEMA } },
    },
    reasoning: {
      max_tokens: 5000,
      messages: [{ role: 'user', content: 'Think' }],
      thinking: { type: 'enabled', budget_tokens: 4000 },
    },
  },
  async ask(url, body) {
    return fromMessage(await anthropic(url).messages.create(body as never));
  },
  async stream(url, body) {
    return fromMessage(
      await anthropic(url)
        .messages.stream(body as never)
        .finalMessage(),
    );
  },
};

export function openai(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
}

export function anthropic(url: string): Anthropic {
  return new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 });
}

function fromCompletion(completion: OpenAI.ChatCompletion): Said {
  const [choice] = completion.choices;
  const message = choice?.message as OpenAI.ChatCompletionMessage & {
    reasoning_content?: string;
    thinking_blocks?: { signature?: string }[];
  };
  const { usage } = completion;
  return compacted({
    reasoning: message.reasoning_content,
    signature: message.thinking_blocks?.[0]?.signature,
    text: message.content ?? undefined,
    calls: message.tool_calls?.map((call) => ({
      id: call.id,
      name: call.type === 'function' ? call.function.name : '',
      input: call.type === 'function' ? call.function.arguments : '',
    })),
    finish: choice?.finish_reason.replace('_', '-'),
    usage: {
      input: usage?.prompt_tokens,
      cached: usage?.prompt_tokens_details?.cached_tokens,
      output: usage?.completion_tokens,
    },
  });
}

function fromResponse(response: OpenAI.Responses.Response): Said {
  const { output, usage } = response;
  const reasoning = output.find((item) => item.type === 'reasoning');
  const sealed = reasoning?.encrypted_content;
  const calls = output.filter((item) => item.type === 'function_call');
  const opened = sealed == null ? {} : (JSON.parse(Buffer.from(sealed, 'base64url').toString()) as object);
  const { anthropic: own } = opened as { anthropic?: { signature?: string } };
  const incomplete =
    response.incomplete_details?.reason === 'max_output_tokens' ? 'length' : 'content-filter';
  const finish = calls.length > 0 ? 'tool-calls' : 'stop';
  return compacted({
    reasoning: reasoning?.summary[0]?.text,
    signature: own?.signature,
    text: output.some((item) => item.type === 'message') ? response.output_text : undefined,
    calls: calls.map((call) => ({ id: call.call_id, name: call.name, input: call.arguments })),
    finish: response.status === 'incomplete' ? incomplete : finish,
    usage: {
      input: usage?.input_tokens,
      cached: usage?.input_tokens_details.cached_tokens,
      output: usage?.output_tokens,
    },
  });
}

const STOP_REASONS: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  max_tokens: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
};

function fromMessage({ content, stop_reason, usage }: Anthropic.Message): Said {
  const thinking = content.find((block) => block.type === 'thinking');
  const cached = usage.cache_read_input_tokens ?? 0;
  return compacted({
    reasoning: thinking?.thinking,
    signature: thinking?.signature || undefined,
    text: content.find((block) => block.type === 'text')?.text,
    calls: content
      .filter((block) => block.type === 'tool_use')
      .map(({ id, name, input }) => ({ id, name, input: JSON.stringify(input) })),
    finish: STOP_REASONS[stop_reason ?? ''],
    usage: { input: usage.input_tokens + cached, cached, output: usage.output_tokens },
  });
}

/** Without what is not there, so that answers can be compared. */
function compacted(said: Record<string, unknown>): Said {
  const entries = Object.entries(said).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(entries) as unknown as Said;
}
