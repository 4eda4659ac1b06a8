import Anthropic from '@anthropic-ai/sdk';
import { CLIENT_KEY, type Clients, type Said, TOOL, type ToolTurn } from './client.ts';

const LIMIT = { max_tokens: 1024 };
const TOOLS = [{ name: TOOL.name, description: TOOL.description, input_schema: TOOL.parameters }];

/** The official `@anthropic-ai/sdk`. */
export const anthropicClients: Clients = (baseUrl) => {
  const client = new Anthropic({ baseURL: baseUrl, apiKey: CLIENT_KEY, maxRetries: 0 });
  return [
    {
      name: '@anthropic-ai/sdk',
      dialect: 'messages',
      async ask(model, prompt) {
        return saidIn(await client.messages.create({ model, ...LIMIT, messages: [user(prompt)] }));
      },
      async stream(model, prompt) {
        let pieces = 0;
        const stream = client.messages.stream({ model, ...LIMIT, messages: [user(prompt)] });
        stream.on('text', () => pieces++);
        return { ...saidIn(await stream.finalMessage()), pieces };
      },
      async useTool(model, prompt, result) {
        const params = { model, ...LIMIT, tools: TOOLS };
        const messages = [user(prompt)];
        const first = await client.messages.create({ ...params, messages });
        const more = [...messages, assistant(first), toolResults(first, result)];
        return toolTurn(first, await client.messages.create({ ...params, messages: more }));
      },
      async useToolStreamed(model, prompt, result) {
        const params = { model, ...LIMIT, tools: TOOLS };
        const messages = [user(prompt)];
        const first = await client.messages.stream({ ...params, messages }).finalMessage();
        const more = [...messages, assistant(first), toolResults(first, result)];
        return toolTurn(first, await client.messages.stream({ ...params, messages: more }).finalMessage());
      },
    },
  ];
};

function user(content: string): Anthropic.MessageParam {
  return { role: 'user', content };
}

function assistant({ content }: Anthropic.Message): Anthropic.MessageParam {
  return { role: 'assistant', content };
}

function toolResults({ content }: Anthropic.Message, result: string): Anthropic.MessageParam {
  const results = content
    .filter((block) => block.type === 'tool_use')
    .map(({ id }) => ({ type: 'tool_result' as const, tool_use_id: id, content: result }));
  return { role: 'user', content: results };
}

function toolTurn(first: Anthropic.Message, last: Anthropic.Message): ToolTurn {
  const call = first.content.find((block) => block.type === 'tool_use');
  if (call === undefined) throw new Error('the model has asked for no tool');
  return { name: call.name, input: call.input, text: saidIn(last).text };
}

function saidIn({ content, usage }: Anthropic.Message): Said {
  const text = content.map((block) => (block.type === 'text' ? block.text : '')).join('');
  return { text, usage: { input: usage.input_tokens, output: usage.output_tokens } };
}
