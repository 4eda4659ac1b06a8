import type { Logger } from 'winston';
import type { Pipeline } from '../pipeline/types.ts';
import type { GatewayRequest, GatewayResponse } from '../wire/message.ts';
import { checkBrowser } from './browser.ts';
import type { McpService } from './service.ts';
import type { SessionLimits } from './sessions.ts';

export interface McpOptions {
  /** Largest request body, in bytes. */
  readonly bodyLimit: number;
  /** What the gateway listens on. */
  readonly listenHost: string;
  /**
   * False: the endpoint keeps no sessions, because the next request of a client may reach another process on the same
   * port. Such clients get no notifications.
   */
  readonly sessions: boolean;
  readonly log: Logger;
  /** Milliseconds of a clock that never goes back. Default: `performance.now`. */
  readonly clock?: () => number;
  /** Deviations from the limits of docs/security.md, "The MCP server". */
  readonly limits?: Partial<SessionLimits>;
}

/**
 * The tools of all plugins as one MCP server. Source: MCP specification 2025-11-25, "Streamable HTTP", and 2026-07-28.
 */
export interface McpEndpoint {
  /** Serves one request for `/mcp`, after authentication and middleware. */
  handle(req: GatewayRequest, res: GatewayResponse, pipeline: Pipeline): Promise<void>;
  /** Tells the clients that the list of tools may be another one now. */
  toolsChanged(): void;
  /** Resolves when the answers of all calls that run now are out. */
  settled(): Promise<void>;
  /** Ends the streams that wait for notifications, lets running calls finish, then ends all sessions. Never rejects. */
  close(): Promise<void>;
}

/**
 * Makes the endpoint. The MCP SDK is loaded with the first request, so that a gateway that nobody asks for tools does
 * not pay for it.
 */
export function createMcpEndpoint(options: McpOptions): McpEndpoint {
  let service: Promise<McpService> | null = null;
  const load = async (): Promise<McpService> => {
    const { createMcpService } = await import('./service.ts');
    return createMcpService(options);
  };
  return {
    async handle(req, res, pipeline) {
      checkBrowser(req, options.listenHost, pipeline.auth !== null);
      service ??= load();
      await (await service).handle(req, res, pipeline);
    },
    toolsChanged: () => void service?.then((loaded) => loaded.toolsChanged()),
    settled: async () => (await service)?.settled(),
    close: async () => (await service)?.close(),
  };
}
