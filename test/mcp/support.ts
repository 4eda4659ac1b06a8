import type { TestContext } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Containment } from '../../src/containment/containment.ts';
import { createMcpEndpoint, type McpEndpoint, type McpOptions } from '../../src/mcp/endpoint.ts';
import { compileTools } from '../../src/pipeline/tools.ts';
import type { Pipeline } from '../../src/pipeline/types.ts';
import type { AuthRequest, Identity } from '../../src/plugin-api/auth.ts';
import type { ToolRuntime } from '../../src/plugin-api/tools.ts';
import { type Running, recordingLog, start } from '../http/support.ts';
import { createMember } from '../pipeline/support.ts';
import { emptyPipeline } from '../support/pipeline.ts';

export interface ServedTools extends Running {
  readonly mcp: McpEndpoint;
  /** `http://127.0.0.1:<port>/mcp` */
  readonly endpoint: string;
}

export interface ToolsSetup extends Partial<McpOptions> {
  /** The claims of whoever names itself in `Authorization`; nobody else gets in. Left out: no authentication. */
  readonly identities?: Readonly<Record<string, Partial<Identity>>>;
}

/** A runtime with one tool per name. */
export function runtimeOf(tools: Readonly<Record<string, ToolRuntime['callTool']>>): ToolRuntime {
  return {
    listTools: () => Object.keys(tools).map((name) => ({ name, description: name })),
    callTool: (name, args, call) => tools[name]?.(name, args, call) ?? 'no such tool',
  };
}

/** The HTTP surface with one tool runtime behind `/mcp`; closed when the test ends. */
export async function serveTools(
  t: TestContext,
  runtime: ToolRuntime | null,
  { identities, ...options }: ToolsSetup = {},
): Promise<ServedTools> {
  const mcp = createMcpEndpoint({
    bodyLimit: 65_536,
    listenHost: '127.0.0.1',
    sessions: true,
    log: recordingLog().log,
    ...options,
  });
  const member = createMember('tools', (bag) => void (runtime !== null && bag.toolRuntimes.push(runtime)));
  const pipeline: Pipeline = emptyPipeline({
    tools: compileTools(new Containment(), [member]),
    auth: identities === undefined ? null : authOf(identities),
  });
  const running = await start(t, { mcp, pipeline: () => pipeline });
  t.after(() => mcp.close());
  return { ...running, mcp, endpoint: `${running.url}/mcp` };
}

/** The official client, connected; closed when the test ends. */
export async function connect(
  t: TestContext,
  endpoint: string,
  { name, modern = false }: { name?: string; modern?: boolean } = {},
): Promise<{ client: Client; transport: StreamableHTTPClientTransport }> {
  const client = new Client(
    { name: 'test', version: '1.0.0' },
    { versionNegotiation: { mode: modern ? { pin: '2026-07-28' } : 'legacy' } },
  );
  const headers: Record<string, string> = name === undefined ? {} : { authorization: name };
  const transport = new StreamableHTTPClientTransport(new URL(endpoint), { requestInit: { headers } });
  await client.connect(transport);
  t.after(() => client.close());
  return { client, transport };
}

/** A JSON-RPC request as it travels, over a connection of its own. */
export function rpc(
  endpoint: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

export const INITIALIZE: unknown = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1.0.0' },
  },
};

function authOf(identities: Readonly<Record<string, Partial<Identity>>>): Pipeline['auth'] {
  return async (request: AuthRequest) => {
    const id = request.get('authorization') ?? '';
    const claims = identities[id];
    if (claims === undefined) throw Object.assign(new Error('Who are you?'), { status: 401 });
    return { id, ...claims };
  };
}
