import type { Containment } from '../containment/containment.ts';
import type { Tool, ToolCall, ToolResult, ToolRuntime } from '../plugin-api/tools.ts';
import { invoke, type Member } from './member.ts';
import type { ToolsPhase } from './types.ts';

const ANY_ARGUMENTS = Object.freeze({ type: 'object' });

interface Entry {
  readonly member: Member;
  readonly runtime: ToolRuntime;
}

/**
 * The tools of all runtimes. A runtime that fails or is quarantined has its tools left out; of two tools with one
 * name the first in load order counts; a call that fails is answered with a tool error.
 */
export function compileTools(containment: Containment, members: readonly Member[]): ToolsPhase {
  const entries = members.flatMap((member) =>
    (member.bag?.toolRuntimes ?? []).map((runtime) => ({ member, runtime })),
  );
  const phase = new Tools(containment, entries);
  return { list: () => phase.list(), call: (name, args, call) => phase.call(name, args, call) };
}

class Tools {
  readonly #containment: Containment;
  readonly #entries: readonly Entry[];
  /** Which runtime offered a tool when it was last listed. */
  #owners: ReadonlyMap<string, Entry> = new Map();

  constructor(containment: Containment, entries: readonly Entry[]) {
    this.#containment = containment;
    this.#entries = entries;
  }

  async list(): Promise<readonly Tool[]> {
    const lists = await Promise.all(this.#entries.map((entry) => this.#listOne(entry)));
    const tools = new Map<string, Tool>();
    const owners = new Map<string, Entry>();
    for (const [index, entry] of this.#entries.entries()) {
      for (const tool of lists[index] ?? []) {
        if (tools.has(tool.name)) continue;
        tools.set(tool.name, tool);
        owners.set(tool.name, entry);
      }
    }
    this.#owners = owners;
    return [...tools.values()];
  }

  async call(name: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
    if (!this.#owners.has(name)) await this.list();
    const entry = this.#owners.get(name);
    if (entry === undefined) return toolError(`There is no tool "${name}"`);
    const { member, runtime } = entry;
    const site = { owner: member.owner, phase: 'tool' as const, what: `tool "${name}"`, check: checkResult };
    return invoke(this.#containment, member.gate, site, call.id, () =>
      runtime.callTool(name, args, call),
    ).catch(() => toolError(`The tool "${name}" failed`));
  }

  #listOne({ member, runtime }: Entry): Promise<readonly Tool[]> {
    const site = { owner: member.owner, phase: 'tool' as const, what: 'listTools()', check: checkTools };
    return invoke(this.#containment, member.gate, site, null, () => runtime.listTools()).catch(() => []);
  }
}

function toolError(text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}

function checkTools(value: unknown): readonly Tool[] {
  if (!Array.isArray(value)) throw new Error(`saw ${typeof value}, expected a list of tools`);
  return value.map(checkTool);
}

/** A tool without a schema takes any arguments. */
function checkTool(tool: Partial<Tool> | null | undefined): Tool {
  const { name, inputSchema = ANY_ARGUMENTS } = tool ?? {};
  if (typeof name !== 'string' || name === '') throw new Error('saw a tool without a name');
  if (typeof inputSchema === 'object' && inputSchema !== null) return { ...tool, name, inputSchema };
  throw new Error(
    `saw inputSchema ${typeof inputSchema} of the tool ${JSON.stringify(name)}, expected a JSON Schema`,
  );
}

/** MCP's result; or a text, which becomes one. */
function checkResult(value: unknown): ToolResult {
  if (typeof value === 'string') return { content: [{ type: 'text', text: value }] };
  const content = (value as { content?: unknown } | null | undefined)?.content;
  if (Array.isArray(content)) return value as ToolResult;
  throw new Error(`saw ${typeof value}, expected { content: [...] } or a text`);
}
