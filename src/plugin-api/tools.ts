import type { Identity } from './auth.ts';

/** A tool as the Model Context Protocol describes it (specification 2025-11-25, "Tools"). */
export interface Tool {
  readonly name: string;
  /** For people. */
  readonly title?: string;
  readonly description?: string;
  /** JSON Schema of the arguments: an object's. Arguments that do not fit it do not reach the tool. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
  /** JSON Schema of `structuredContent`. */
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  /** Hints on what the tool does, for example `readOnlyHint`. */
  readonly annotations?: Readonly<Record<string, unknown>>;
}

/** A tool as a runtime lists it. */
export type ToolDescription = Omit<Tool, 'inputSchema'> & Partial<Pick<Tool, 'inputSchema'>>;

/** What a tool answers: MCP's `CallToolResult`. */
export interface ToolResult {
  readonly content: readonly Readonly<Record<string, unknown>>[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  readonly isError?: boolean;
}

/** How far a tool call has come. */
export interface ToolProgress {
  /** Grows from one report to the next. */
  readonly progress: number;
  /** What `progress` will be in the end, if that is known. */
  readonly total?: number | undefined;
  readonly message?: string | undefined;
}

/** The circumstances of a tool call. */
export interface ToolCall {
  /** The id of the request that led here, or a new one. */
  readonly id: string;
  /** Who asks; `null` when that is a plugin (`context.tools`), or nobody is known. */
  readonly identity: Identity | null;
  /** Aborted when the caller is gone or has cancelled the call; for a plugin, when it is about to be shut down. */
  readonly signal: AbortSignal;
  /** Tells the caller how far the call has come. Left out when the caller does not want to know. */
  readonly progress?: (progress: ToolProgress) => void;
}

/**
 * Provides tools. A call that fails is answered with a tool error, never with a broken conversation.
 *
 * @example
 * ```ts
 * app.toolRuntime({
 *   listTools: () => [{ name: 'now', description: 'The time', inputSchema: { type: 'object' } }],
 *   callTool: () => ({ content: [{ type: 'text', text: new Date().toISOString() }] }),
 * });
 * ```
 */
export interface ToolRuntime {
  /**
   * A tool without `inputSchema` takes any arguments. A runtime whose list changes says so with
   * `context.tools.changed()`.
   */
  listTools(): readonly ToolDescription[] | Promise<readonly ToolDescription[]>;
  callTool(
    name: string,
    args: Readonly<Record<string, unknown>>,
    call: ToolCall,
  ): ToolResult | string | Promise<ToolResult | string>;
}
