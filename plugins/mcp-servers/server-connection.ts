import { setTimeout as delay } from 'node:timers/promises';
import {
  type CallToolResult,
  Client,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  type Tool,
} from '@modelcontextprotocol/client';
import type { PluginContext, ToolCall, ToolResult } from 'routeiq-gateway/plugin';
import type { ServerSettings } from './settings.ts';
import { createTransport, type ServerTransport } from './transport.ts';

export interface ConnectionOptions {
  readonly server: ServerSettings;
  readonly refreshMs: number;
  readonly log: PluginContext['logger'];
  /** Told when the server's tools are others than before. */
  readonly onChange: () => void;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 60_000;
/** Longest wait for a server to hear that its session is over. */
const FAREWELL_MS = 1000;

/** One server. Its connection is made again, without an end, whenever it breaks; meanwhile it has no tools. */
export class ServerConnection {
  readonly #options: ConnectionOptions;
  #client: Client | null = null;
  #transport: ServerTransport | null = null;
  #tools: readonly Tool[] = [];
  #problem: string | null = 'it has not answered yet';
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get settings(): ServerSettings {
    return this.#options.server;
  }

  /** The tools of the server, by its own names. */
  get tools(): readonly Tool[] {
    return this.#tools;
  }

  /** Why there is no connection; `null`: there is one. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Makes the connection. Resolves when the first attempt is over, well or badly; never rejects. */
  async open(): Promise<void> {
    if (this.#isClosed) return;
    const { server, log } = this.#options;
    const client = this.#createClient();
    const transport = createTransport(server.endpoint, (line) => log.debug(line, { server: server.name }));
    this.#transport = transport;
    try {
      await client.connect(transport, { timeout: server.timeoutMs });
      const { tools } = await client.listTools(undefined, { timeout: server.timeoutMs });
      if (this.#isClosed) return;
      this.#client = client;
      this.#connected(tools);
    } catch (error) {
      await client.close().catch(() => undefined);
      this.#retry(error);
    }
  }

  /** Never rejects: what goes wrong is a tool error, since the server failed and not the plugin. */
  async call(name: string, args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult> {
    const { name: server, timeoutMs } = this.#options.server;
    const client = this.#client;
    if (client === null) return toolError(`The MCP server "${server}" is not connected`);
    try {
      const result = await client.callTool(
        { name, arguments: { ...args } },
        {
          signal: call.signal,
          timeout: timeoutMs,
          resetTimeoutOnProgress: true,
          ...(call.progress === undefined ? {} : { onprogress: call.progress }),
        },
      );
      return toResult(result);
    } catch (error) {
      return this.#failedCall(client, error, call.signal);
    }
  }

  /** Ends the connection, and the program at its other end if there is one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const transport = this.#transport;
    this.#client = null;
    if (transport !== null && 'terminateSession' in transport) {
      const goodbye = transport.terminateSession().catch(() => undefined);
      await Promise.race([goodbye, delay(FAREWELL_MS, null, { ref: false })]);
    }
    await transport?.close().catch(() => undefined);
  }

  #createClient(): Client {
    const { endpoint } = this.#options.server;
    const client = new Client(
      { name: 'routeiq-gateway', version: '1.0.0' },
      {
        // To ask a program for its revision would mean to start it twice.
        versionNegotiation: { mode: endpoint.kind === 'http' ? 'auto' : 'legacy' },
        listChanged: { tools: { onChanged: (_error, tools) => this.#relist(client, tools) } },
      },
    );
    client.onclose = () => this.#lost(client, new Error('the connection was closed'));
    return client;
  }

  #connected(tools: readonly Tool[]): void {
    const { server, log, onChange } = this.#options;
    this.#tools = tools;
    this.#problem = null;
    this.#failures = 0;
    log.info(`connected to the MCP server "${server.name}"`, { server: server.name, tools: tools.length });
    this.#refreshLater();
    onChange();
  }

  #refreshLater(): void {
    this.#timer = setTimeout(() => void this.#refresh(), this.#options.refreshMs).unref();
  }

  /** An HTTP server that has gone says nothing: it is noticed when it is asked. */
  async #refresh(): Promise<void> {
    const client = this.#client;
    if (client === null) return;
    try {
      const timeout = this.#options.server.timeoutMs;
      const { tools } = await client.listTools(undefined, { timeout, cacheMode: 'refresh' });
      this.#relist(client, tools);
      if (client === this.#client) this.#refreshLater();
    } catch (error) {
      this.#lost(client, error);
    }
  }

  #relist(client: Client, tools: readonly Tool[] | null): void {
    if (client !== this.#client || tools === null) return;
    if (JSON.stringify(tools) === JSON.stringify(this.#tools)) return;
    this.#tools = tools;
    this.#options.onChange();
  }

  #lost(client: Client, error: unknown): void {
    if (client !== this.#client || this.#isClosed) return;
    this.#client = null;
    this.#tools = [];
    clearTimeout(this.#timer);
    client.close().catch(() => undefined);
    this.#retry(error);
    this.#options.onChange();
  }

  #retry(error: unknown): void {
    if (this.#isClosed) return;
    const { server, log } = this.#options;
    const problem = error instanceof Error ? error.message : String(error);
    // A failure that repeats itself is said once.
    if (problem !== this.#problem) {
      log.warn(`the MCP server "${server.name}" is not connected`, { server: server.name, cause: problem });
    }
    this.#problem = problem;
    const delay = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => void this.open(), delay).unref();
  }

  #failedCall(client: Client, error: unknown, signal: AbortSignal): ToolResult {
    const { name, timeoutMs } = this.#options.server;
    if (signal.aborted) return toolError('The call was cancelled');
    if (error instanceof ProtocolError) return toolError(error.message);
    if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
      return toolError(`The MCP server "${name}" did not answer within ${timeoutMs} ms`);
    }
    this.#lost(client, error);
    return toolError(`The MCP server "${name}" failed`);
  }
}

function toResult({ content, structuredContent, isError }: CallToolResult): ToolResult {
  return {
    content,
    ...(isObject(structuredContent) ? { structuredContent } : {}),
    ...(isError === undefined ? {} : { isError }),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a caller gets whose call could not be made. */
export function toolError(text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true };
}
