import type { Containment } from '../containment/containment.ts';
import { toError } from '../errors.ts';
import type { Identity } from '../plugin-api/auth.ts';
import type { Tool, ToolCall, ToolResult, ToolRuntime } from '../plugin-api/tools.ts';
import type { RequestScope } from '../request-scope.ts';
import { invoke, type Member } from './member.ts';
import { mayCall } from './tool-access.ts';
import { type ArgumentsCheck, compileArgumentsCheck } from './tool-arguments.ts';
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
  return {
    list: (identity) => phase.list(identity),
    find: (name, identity) => phase.find(name, identity),
    call: (name, args, call, scope) => phase.call(name, args, call, scope),
  };
}

class Tools {
  readonly #containment: Containment;
  readonly #entries: readonly Entry[];
  /** The tools as they were last listed, by name. */
  #offers: ReadonlyMap<string, Offer> = new Map();

  constructor(containment: Containment, entries: readonly Entry[]) {
    this.#containment = containment;
    this.#entries = entries;
  }

  async list(identity: Identity | null): Promise<readonly Tool[]> {
    const offers = await this.#refresh();
    return [...offers.values()].map(({ tool }) => tool).filter(({ name }) => mayCall(identity, name));
  }

  async find(name: string, identity: Identity | null): Promise<Tool | null> {
    return mayCall(identity, name) ? ((await this.#offer(name))?.tool ?? null) : null;
  }

  async call(
    name: string,
    args: Readonly<Record<string, unknown>>,
    call: ToolCall,
    scope: RequestScope | null,
  ): Promise<ToolResult> {
    const offer = mayCall(call.identity, name) ? await this.#offer(name) : null;
    if (offer === null) return toolError(`There is no tool "${name}"`);
    const problem = await offer.problemOf(args);
    if (problem !== null) return toolError(problem);
    const { member, runtime } = offer.entry;
    const what = `tool "${name}"`;
    const site = { owner: member.owner, phase: 'tool' as const, what, check: checkResult, about: call };
    return invoke(this.#containment, member.gate, site, scope, () =>
      runtime.callTool(name, args, call),
    ).catch(() => toolError(`The tool "${name}" failed`));
  }

  async #offer(name: string): Promise<Offer | null> {
    return this.#offers.get(name) ?? (await this.#refresh()).get(name) ?? null;
  }

  async #refresh(): Promise<ReadonlyMap<string, Offer>> {
    const lists = await Promise.all(this.#entries.map((entry) => this.#listOne(entry)));
    const offers = new Map<string, Offer>();
    for (const [index, entry] of this.#entries.entries()) {
      for (const tool of lists[index] ?? []) {
        if (!offers.has(tool.name)) offers.set(tool.name, this.#keep(entry, tool));
      }
    }
    this.#offers = offers;
    return offers;
  }

  /** A tool that has not changed keeps its compiled schema. */
  #keep(entry: Entry, tool: Tool): Offer {
    const known = this.#offers.get(tool.name);
    return known?.isSame(entry, tool) === true ? known : new Offer(entry, tool);
  }

  #listOne({ member, runtime }: Entry): Promise<readonly Tool[]> {
    const site = { owner: member.owner, phase: 'tool' as const, what: 'listTools()', check: checkTools };
    return invoke(this.#containment, member.gate, site, null, () => runtime.listTools()).catch(() => []);
  }
}

/** One tool, who runs it, and the check of its arguments, compiled at its first call. */
class Offer {
  readonly entry: Entry;
  readonly tool: Tool;
  readonly #text: string;
  #check: Promise<ArgumentsCheck> | null = null;

  constructor(entry: Entry, tool: Tool) {
    this.entry = entry;
    this.tool = tool;
    this.#text = JSON.stringify(tool);
  }

  isSame(entry: Entry, tool: Tool): boolean {
    return entry === this.entry && JSON.stringify(tool) === this.#text;
  }

  /** What keeps a call with these arguments from being made, `null` for nothing. */
  async problemOf(args: Readonly<Record<string, unknown>>): Promise<string | null> {
    this.#check ??= compileArgumentsCheck(this.tool.inputSchema);
    try {
      const problem = (await this.#check)(args);
      return problem === null ? null : `Invalid arguments for the tool "${this.tool.name}": ${problem}`;
    } catch (thrown) {
      return `The tool "${this.tool.name}" has an inputSchema that cannot be used: ${toError(thrown).message}`;
    }
  }
}

function toolError(text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}

/**
 * What `listTools` has answered.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkTools(value: unknown): readonly Tool[] {
  if (!Array.isArray(value)) throw new Error(`saw ${typeof value}, expected a list of tools`);
  // The list as it travels, and a copy that the plugin no longer holds.
  return (JSON.parse(JSON.stringify(value)) as unknown[]).map(checkTool);
}

/** A client that is strict would refuse the whole list for one bad tool: it fails here, where the plugin is named. */
function checkTool(value: unknown): Tool {
  const tool = isObject(value) ? value : {};
  const { name, inputSchema = ANY_ARGUMENTS } = tool;
  if (typeof name !== 'string' || name === '') throw new Error('saw a tool without a name');
  const complain = (field: string, seen: unknown, expected: string): never => {
    throw new Error(`saw ${field} ${JSON.stringify(seen)} of the tool "${name}", expected ${expected}`);
  };
  for (const field of ['title', 'description']) {
    if (tool[field] !== undefined && typeof tool[field] !== 'string') complain(field, tool[field], 'a text');
  }
  if (!isObject(inputSchema)) return complain('inputSchema', inputSchema, 'a JSON Schema');
  const { type = 'object' } = inputSchema;
  if (type !== 'object') return complain('inputSchema.type', type, '"object"');
  return { ...tool, name, inputSchema: { ...inputSchema, type } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * What `callTool` has answered: MCP's result; or a text, which becomes one.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkResult(value: unknown): ToolResult {
  if (typeof value === 'string') return { content: [{ type: 'text', text: value }] };
  const content = (value as { content?: unknown } | null | undefined)?.content;
  if (Array.isArray(content)) return value as ToolResult;
  throw new Error(`saw ${typeof value}, expected { content: [...] } or a text`);
}
