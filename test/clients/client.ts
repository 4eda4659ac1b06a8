/** How a client's requests reach the gateway. */
export type Dialect = 'chat' | 'responses' | 'messages';

/** What a client has got from one answer. */
export interface Said {
  readonly text: string;
  /** Tokens of prompt and answer, as the client counts them. */
  readonly usage: { readonly input: number; readonly output: number };
}

export interface Streamed extends Said {
  /** How many pieces of text came. */
  readonly pieces: number;
}

/** A conversation in which the model asks for a tool and then answers. */
export interface ToolTurn {
  readonly name: string;
  readonly input: unknown;
  /** The answer after the tool's result. */
  readonly text: string;
}

/** A client library that nobody here wrote, used as its documentation shows. */
export interface Client {
  readonly name: string;
  readonly dialect: Dialect;
  /**
   * Takes the prompt's tokens from the first event of a stream, which has them only if the upstream speaks the same
   * dialect.
   */
  readonly countsPromptAtStart?: boolean;
  ask(model: string, prompt: string): Promise<Said>;
  stream(model: string, prompt: string): Promise<Streamed>;
  /** `result` is what the tool answers. */
  useTool(model: string, prompt: string, result: string): Promise<ToolTurn>;
  useToolStreamed(model: string, prompt: string, result: string): Promise<ToolTurn>;
}

/** @param baseUrl of the gateway, for example `http://127.0.0.1:4000` */
export type Clients = (baseUrl: string) => readonly Client[];

/** A key that no upstream may ever see. */
export const CLIENT_KEY = 'key-of-the-client';

/** A tool as all clients take it, each in its own words. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  readonly parameters: {
    type: 'object';
    properties: Record<string, { type: 'string' }>;
    required: string[];
    additionalProperties: boolean;
  };
}

/** The tool of the tests. */
export const TOOL: ToolDefinition = {
  name: 'get_weather',
  description: 'The weather in a city',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};

/** What a text says as JSON. */
export function parsed(text: string): unknown {
  return JSON.parse(text);
}
