import {
  type CallToolResult,
  isSpecType,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
  specTypeSchemas,
  type Tool,
} from '@modelcontextprotocol/server';
import type { ToolCall, ToolResult } from '../plugin-api/tools.ts';
import { Caller } from './caller.ts';

export interface ToolServerOptions {
  readonly version: string;
  /** True: the client can be told of changes. */
  readonly notifies: boolean;
}

/** An MCP server for one client (or one request), which serves the tools of whoever asks. */
export function createToolServer({ version, notifies }: ToolServerOptions): Server {
  const server = new Server(
    { name: 'routeiq-gateway', version },
    {
      capabilities: { tools: notifies ? { listChanged: true } : {} },
      debouncedNotificationMethods: ['notifications/tools/list_changed'],
    },
  );
  server.setRequestHandler('tools/list', async (_request, ctx) => ({
    tools: await listTools(Caller.of(ctx)),
  }));
  server.setRequestHandler('tools/call', async ({ params }, ctx) => {
    const { result, outputSchema } = await callTool(params.name, params.arguments ?? {}, ctx);
    return server.projectCallToolResult(result, outputSchema);
  });
  return server;
}

/** A tool that MCP has no words for is left out: a client would refuse the whole list. */
async function listTools({ tools, identity }: Caller): Promise<Tool[]> {
  const listed: readonly unknown[] = await tools.list(identity);
  return listed.filter(isSpecType.Tool);
}

/** @throws ProtocolError for a tool that does not exist, or not for this caller */
async function callTool(
  name: string,
  args: Readonly<Record<string, unknown>>,
  ctx: ServerContext,
): Promise<{ result: CallToolResult; outputSchema: Readonly<Record<string, unknown>> | undefined }> {
  const caller = Caller.of(ctx);
  caller.onCall();
  const tool = await caller.tools.find(name, caller.identity);
  if (tool === null) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${name}`);
  const called = await caller.tools.call(name, args, toToolCall(caller, ctx), caller.scope);
  const result = toCallToolResult(name, called);
  return { result, outputSchema: tool.outputSchema };
}

function toToolCall({ requestId, identity, gone }: Caller, { mcpReq }: ServerContext): ToolCall {
  const call = { id: requestId, identity, signal: AbortSignal.any([mcpReq.signal, gone]) };
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return call;
  return {
    ...call,
    progress({ progress, total, message }) {
      const params = { progressToken, progress, total, message };
      // Whoever does not listen any more misses nothing.
      mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
    },
  };
}

/** What MCP has no words for is a tool error. */
function toCallToolResult(name: string, result: ToolResult): CallToolResult {
  const checked = specTypeSchemas.CallToolResult['~standard'].validate(result);
  if (checked.issues === undefined) return checked.value;
  return {
    content: [{ type: 'text', text: `The tool "${name}" gave a result that is none of MCP's` }],
    isError: true,
  };
}
