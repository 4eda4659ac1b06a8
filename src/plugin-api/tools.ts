import type { Identity } from './auth.ts';

/** A tool as the Model Context Protocol describes it (specification 2025-06-18, "Tools"). */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

/** A tool as a runtime lists it. */
export type ToolDescription = Omit<Tool, 'inputSchema'> & Partial<Pick<Tool, 'inputSchema'>>;

/** What a tool answers: MCP's `CallToolResult`. */
export interface ToolResult {
  readonly content: readonly Readonly<Record<string, unknown>>[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  readonly isError?: boolean;
}

/** The circumstances of a tool call. */
export interface ToolCall {
  /** The id of the request that led here, or a new one. */
  readonly id: string;
  /** Who asks; `null` when that is a plugin (`context.tools`), or nobody is known. */
  readonly identity: Identity | null;
  /** Aborted when the caller is gone; for a plugin, when it is about to be shut down. */
  readonly signal: AbortSignal;
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
  /** A tool without `inputSchema` takes any arguments. */
  listTools(): readonly ToolDescription[] | Promise<readonly ToolDescription[]>;
  callTool(
    name: string,
    args: Readonly<Record<string, unknown>>,
    call: ToolCall,
  ): ToolResult | string | Promise<ToolResult | string>;
}
