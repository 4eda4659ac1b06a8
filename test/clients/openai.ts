import OpenAI from 'openai';
import { CLIENT_KEY, type Client, type Clients, parsed, type Said, TOOL, type ToolTurn } from './client.ts';

type Message = OpenAI.ChatCompletionMessageParam;
type Item = OpenAI.Responses.ResponseInputItem;

/** The official `openai` package, over chat completions and over responses. */
export const openaiClients: Clients = (baseUrl) => {
  const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: CLIENT_KEY, maxRetries: 0 });
  return [chatClient(client), responsesClient(client)];
};

function chatClient(client: OpenAI): Client {
  const tools = [{ type: 'function' as const, function: TOOL }];
  const user = (content: string): Message => ({ role: 'user', content });
  return {
    name: 'openai, chat completions',
    dialect: 'chat',
    async ask(model, prompt) {
      const { choices, usage } = await client.chat.completions.create({ model, messages: [user(prompt)] });
      return { text: choices[0]?.message.content ?? '', usage: chatUsage(usage) };
    },
    async stream(model, prompt) {
      let [text, pieces] = ['', 0];
      let usage = NO_USAGE;
      for await (const chunk of await client.chat.completions.create({
        model,
        messages: [user(prompt)],
        stream: true,
        stream_options: { include_usage: true },
      })) {
        const piece = chunk.choices[0]?.delta.content ?? '';
        text += piece;
        if (piece !== '') pieces++;
        if (chunk.usage) usage = chatUsage(chunk.usage);
      }
      return { text, pieces, usage };
    },
    async useTool(model, prompt, result) {
      const messages = [user(prompt)];
      const first = await client.chat.completions.create({ model, messages, tools });
      const message = first.choices[0]?.message as OpenAI.ChatCompletionMessage;
      const last = await client.chat.completions.create({
        model,
        tools,
        messages: [...messages, message, ...toolResults(message, result)],
      });
      return toolTurn(message, last.choices[0]?.message.content);
    },
    async useToolStreamed(model, prompt, result) {
      const messages = [user(prompt)];
      const stream = client.chat.completions.stream({ model, messages, tools });
      const message = (await stream.finalChatCompletion()).choices[0]
        ?.message as OpenAI.ChatCompletionMessage;
      const last = client.chat.completions.stream({
        model,
        tools,
        messages: [...messages, message, ...toolResults(message, result)],
      });
      return toolTurn(message, await last.finalContent());
    },
  };
}

function responsesClient(client: OpenAI): Client {
  const tools = [{ type: 'function' as const, strict: true, ...TOOL }];
  const user = (content: string): Item => ({ role: 'user', content });
  return {
    name: 'openai, responses',
    dialect: 'responses',
    async ask(model, prompt) {
      const response = await client.responses.create({ model, input: prompt });
      return { text: response.output_text, usage: responseUsage(response) };
    },
    async stream(model, prompt) {
      let pieces = 0;
      const stream = client.responses.stream({ model, input: prompt });
      stream.on('response.output_text.delta', () => pieces++);
      const response = await stream.finalResponse();
      return { text: response.output_text, pieces, usage: responseUsage(response) };
    },
    async useTool(model, prompt, result) {
      const input = [user(prompt)];
      const first = await client.responses.create({ model, input, tools });
      const more = [...input, ...itemsOf(first), ...outputsOf(first, result)];
      const last = await client.responses.create({ model, input: more, tools });
      return responseTurn(first, last);
    },
    async useToolStreamed(model, prompt, result) {
      const input = [user(prompt)];
      const first = await client.responses.stream({ model, input, tools }).finalResponse();
      const more = [...input, ...itemsOf(first), ...outputsOf(first, result)];
      const last = await client.responses.stream({ model, input: more, tools }).finalResponse();
      return responseTurn(first, last);
    },
  };
}

const NO_USAGE: Said['usage'] = { input: 0, output: 0 };

function chatUsage(usage: OpenAI.CompletionUsage | undefined): Said['usage'] {
  return { input: usage?.prompt_tokens ?? 0, output: usage?.completion_tokens ?? 0 };
}

function toolResults({ tool_calls: calls = [] }: OpenAI.ChatCompletionMessage, content: string): Message[] {
  return calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content }));
}

function toolTurn({ tool_calls: calls }: OpenAI.ChatCompletionMessage, text?: string | null): ToolTurn {
  const [call] = calls ?? [];
  if (call?.type !== 'function') throw new Error('the model has asked for no tool');
  return { name: call.function.name, input: parsed(call.function.arguments), text: text ?? '' };
}

function responseUsage({ usage }: OpenAI.Responses.Response): Said['usage'] {
  return { input: usage?.input_tokens ?? 0, output: usage?.output_tokens ?? 0 };
}

/** A parsed response has members that only the client knows; the API's own are what goes back. */
function itemsOf({ output }: OpenAI.Responses.Response): Item[] {
  return output.map((item) => {
    const { parsed_arguments: _parsed, ...own } = item as typeof item & { parsed_arguments?: unknown };
    return own as Item;
  });
}

function outputsOf({ output }: OpenAI.Responses.Response, result: string): Item[] {
  const calls = output.filter(
    ({ type }) => type === 'function_call',
  ) as OpenAI.Responses.ResponseFunctionToolCall[];
  return calls.map(({ call_id }) => ({ type: 'function_call_output', call_id, output: result }));
}

function responseTurn(first: OpenAI.Responses.Response, last: OpenAI.Responses.Response): ToolTurn {
  const call = first.output.find(({ type }) => type === 'function_call');
  if (call?.type !== 'function_call') throw new Error('the model has asked for no tool');
  return { name: call.name, input: parsed(call.arguments), text: last.output_text };
}
