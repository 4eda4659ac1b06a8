import { ChatAnthropic } from '@langchain/anthropic';
import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import { type AIMessageChunk, type BaseMessage, HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import {
  CLIENT_KEY,
  type Client,
  type Clients,
  type Dialect,
  type Said,
  TOOL,
  type ToolTurn,
} from './client.ts';

/** LangChain.js with its OpenAI and Anthropic packages. */
export const langchainClients: Clients = (baseUrl) => {
  const openai = (model: string, useResponsesApi: boolean): BaseChatModel =>
    new ChatOpenAI({
      model,
      apiKey: CLIENT_KEY,
      maxRetries: 0,
      useResponsesApi,
      configuration: { baseURL: `${baseUrl}/v1` },
    });
  const anthropic = (model: string): BaseChatModel =>
    new ChatAnthropic({
      model,
      apiKey: CLIENT_KEY,
      maxRetries: 0,
      maxTokens: 1024,
      anthropicApiUrl: baseUrl,
    });
  return [
    client('@langchain/openai, chat', 'chat', (model) => openai(model, false)),
    client('@langchain/openai, responses', 'responses', (model) => openai(model, true)),
    { ...client('@langchain/anthropic', 'messages', anthropic), countsPromptAtStart: true },
  ];
};

function client(name: string, dialect: Dialect, chatModel: (model: string) => BaseChatModel): Client {
  return {
    name,
    dialect,
    ask: async (model, prompt) => saidIn(await chatModel(model).invoke(prompt)),
    async stream(model, prompt) {
      const chunks = await Array.fromAsync(await chatModel(model).stream(prompt));
      const pieces = chunks.filter(({ text }) => text !== '').length;
      return { ...saidIn(joined(chunks)), pieces };
    },
    async useTool(model, prompt, result) {
      const bound = withTool(chatModel(model), result);
      const messages = [new HumanMessage(prompt)];
      const first = await bound.invoke(messages);
      const last = await bound.invoke([...messages, first, ...resultsOf(first, result)]);
      return toolTurn(first, last);
    },
    async useToolStreamed(model, prompt, result) {
      const bound = withTool(chatModel(model), result);
      const messages: BaseMessage[] = [new HumanMessage(prompt)];
      const first = joined(await Array.fromAsync(await bound.stream(messages)));
      const more = [...messages, first, ...resultsOf(first, result)];
      return toolTurn(first, joined(await Array.fromAsync(await bound.stream(more))));
    },
  };
}

function withTool(model: BaseChatModel, result: string) {
  const weather = tool(async () => result, {
    name: TOOL.name,
    description: TOOL.description,
    schema: TOOL.parameters,
  });
  if (model.bindTools === undefined) throw new Error('the model takes no tools');
  return model.bindTools([weather]);
}

function joined(chunks: readonly AIMessageChunk[]): AIMessageChunk {
  return chunks.reduce((whole, chunk) => whole.concat(chunk));
}

function resultsOf({ tool_calls: calls = [] }: AIMessageChunk, content: string): ToolMessage[] {
  return calls.map(({ id }) => new ToolMessage({ content, tool_call_id: id ?? '' }));
}

interface Answer {
  readonly text: string;
  readonly usage_metadata?: { readonly input_tokens: number; readonly output_tokens: number } | undefined;
}

function toolTurn({ tool_calls: calls = [] }: AIMessageChunk, last: AIMessageChunk): ToolTurn {
  const [call] = calls;
  if (call === undefined) throw new Error('the model has asked for no tool');
  return { name: call.name, input: call.args, text: last.text };
}

function saidIn({ text, usage_metadata: usage }: Answer): Said {
  return { text, usage: { input: usage?.input_tokens ?? 0, output: usage?.output_tokens ?? 0 } };
}
