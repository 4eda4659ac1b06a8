import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, isStepCount, jsonSchema, type LanguageModel, streamText, tool } from 'ai';
import {
  CLIENT_KEY,
  type Client,
  type Clients,
  type Dialect,
  type Said,
  TOOL,
  type ToolTurn,
} from './client.ts';

/** The AI SDK with the provider packages that speak the gateway's dialects. */
export const aiSdkClients: Clients = (baseUrl) => {
  const options = { baseURL: `${baseUrl}/v1`, apiKey: CLIENT_KEY };
  const openai = createOpenAI(options);
  const compatible = createOpenAICompatible({ ...options, name: 'routeiq', includeUsage: true });
  const anthropic = createAnthropic(options);
  return [
    client('@ai-sdk/openai, chat', 'chat', (model) => openai.chat(model)),
    client('@ai-sdk/openai, responses', 'responses', (model) => openai.responses(model)),
    client('@ai-sdk/openai-compatible', 'chat', (model) => compatible(model)),
    client('@ai-sdk/anthropic', 'messages', (model) => anthropic(model)),
  ];
};

function client(name: string, dialect: Dialect, languageModel: (model: string) => LanguageModel): Client {
  return {
    name,
    dialect,
    async ask(model, prompt) {
      const { text, usage } = await generateText({ model: languageModel(model), prompt, maxRetries: 0 });
      return { text, usage: usageOf(usage) };
    },
    async stream(model, prompt) {
      const result = streamText({ model: languageModel(model), prompt, maxRetries: 0 });
      const pieces = await Array.fromAsync(result.textStream);
      return { text: pieces.join(''), pieces: pieces.length, usage: usageOf(await result.usage) };
    },
    async useTool(model, prompt, result) {
      const { steps, text } = await generateText(toolOptions(languageModel(model), prompt, result));
      return toolTurn(steps, text);
    },
    async useToolStreamed(model, prompt, result) {
      const streamed = streamText(toolOptions(languageModel(model), prompt, result));
      await streamed.consumeStream();
      return toolTurn(await streamed.steps, await streamed.text);
    },
  };
}

function toolOptions(model: LanguageModel, prompt: string, result: string) {
  const weather = tool({
    description: TOOL.description,
    inputSchema: jsonSchema<{ city: string }>(TOOL.parameters),
    execute: async () => result,
  });
  return { model, prompt, maxRetries: 0, tools: { [TOOL.name]: weather }, stopWhen: isStepCount(3) };
}

interface Step {
  readonly toolCalls: readonly { readonly toolName: string; readonly input: unknown }[];
}

function toolTurn([first]: readonly Step[], text: string): ToolTurn {
  const [call] = first?.toolCalls ?? [];
  if (call === undefined) throw new Error('the model has asked for no tool');
  return { name: call.toolName, input: call.input, text };
}

function usageOf(usage: {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}): Said['usage'] {
  return { input: usage.inputTokens ?? 0, output: usage.outputTokens ?? 0 };
}
