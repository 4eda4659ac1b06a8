import type { PluginContext, Tool, ToolCall, ToolResult } from 'routeiq-gateway/plugin';
import { type ServerConnection, toolError } from './server-connection.ts';

type ServerTool = ServerConnection['tools'][number];

interface Entry {
  readonly connection: ServerConnection;
  readonly tool: ServerTool;
}

/** The tools of all servers under the names that callers know. */
export class Catalog {
  readonly #connections: readonly ServerConnection[];
  readonly #log: PluginContext['logger'];
  #entries: ReadonlyMap<string, Entry> = new Map();
  #collisions: readonly string[] = [];

  constructor(connections: readonly ServerConnection[], log: PluginContext['logger']) {
    this.#connections = connections;
    this.#log = log;
  }

  /** Tools that are not offered, because another server has one of the same name. */
  get collisions(): readonly string[] {
    return this.#collisions;
  }

  list(): Tool[] {
    return [...this.#entries].map(([name, { tool }]) => describe(name, tool));
  }

  async call(name: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return toolError(`The tool "${name}" is not there at the moment`);
    return entry.connection.call(entry.tool.name, args, call);
  }

  /** To be called when the tools of a server have changed. */
  update(): void {
    const entries = new Map<string, Entry>();
    const collisions: string[] = [];
    for (const connection of this.#connections) {
      const { prefix, isOffered, name: server } = connection.settings;
      for (const tool of connection.tools.filter(({ name }) => isOffered(name))) {
        const name = prefix + tool.name;
        const other = entries.get(name)?.connection.settings.name;
        if (other === undefined) entries.set(name, { connection, tool });
        else collisions.push(`"${name}" of the server "${server}", which "${other}" has too`);
      }
    }
    this.#entries = entries;
    this.#report(collisions);
  }

  #report(collisions: readonly string[]): void {
    for (const collision of collisions.filter((text) => !this.#collisions.includes(text))) {
      this.#log.error(`a tool is not offered: ${collision}; give one of them another prefix`);
    }
    this.#collisions = collisions;
  }
}

function describe(
  name: string,
  { title, description, inputSchema, outputSchema, annotations }: ServerTool,
): Tool {
  return {
    name,
    inputSchema,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(outputSchema === undefined ? {} : { outputSchema }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}
