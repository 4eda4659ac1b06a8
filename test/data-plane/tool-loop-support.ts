import type { TestContext } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileTools } from '../../src/pipeline/tools.ts';
import type { LlmPhases, ToolsPhase } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { ToolRuntime } from '../../src/plugin-api/tools.ts';
import { createMember } from '../pipeline/support.ts';
import { chat, deployment, type PlaneSetup, post, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { COMPLETION, json, type Script, startUpstream, type Upstream } from '../support/upstream.ts';

/** Has the gateway run its tools. */
export const AUTO: Record<string, string> = { 'x-llmrouter-tools': 'auto' };

/** A tool of the client's own. */
export const MINE: Record<string, unknown> = {
  type: 'function',
  function: { name: 'mine', parameters: { type: 'object' } },
};

export interface Setup extends Partial<PlaneSetup> {
  readonly llm?: Partial<LlmPhases>;
  readonly export?: (record: CallRecord) => void;
}

export interface Served {
  readonly url: string;
  readonly upstream: Upstream;
  /** Body of the nth request that the upstream got. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what came, whatever it is
  sent(n: number): any;
}

function toolsOf(runtime: ToolRuntime): ToolsPhase {
  return compileTools(new Containment(), [
    createMember('tools', (bag) => void bag.toolRuntimes.push(runtime)),
  ]);
}

/** A data plane with the tools of `runtime`, in front of an upstream that answers with `scripts`. */
export async function gateway(
  t: TestContext,
  runtime: ToolRuntime,
  scripts: readonly Script[],
  { llm = {}, export: exported, ...setup }: Setup = {},
): Promise<Served> {
  const upstream = await startUpstream(...scripts);
  t.after(() => upstream.close());
  const pipeline = emptyPipeline({ tools: toolsOf(runtime), export: exported ?? null, llm });
  const { url } = await serve(t, { deployments: [deployment(upstream.url)], pipeline, ...setup });
  return { url, upstream, sent: (n) => JSON.parse(String(upstream.requests[n]?.body)) };
}

/** An answer that asks for these calls. */
export function asking(...calls: readonly (readonly [name: string, args: string])[]): Script {
  const tool_calls = calls.map(([name, args], index) => ({
    id: `call_${index}`,
    type: 'function',
    function: { name, arguments: args },
  }));
  const message = { role: 'assistant', content: 'Let me see', tool_calls };
  return json({ ...COMPLETION, choices: [{ index: 0, message, finish_reason: 'tool_calls' }] });
}

// biome-ignore lint/suspicious/noExplicitAny: tests look at what came, whatever it is
export async function ask(url: string, fields: Record<string, unknown> = {}): Promise<any> {
  const response = await post(url, chat(fields), AUTO);
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** One tool that adds two numbers. */
export const ADD: ToolRuntime = {
  listTools: () => [
    {
      name: 'math.add',
      description: 'Adds',
      inputSchema: { properties: { a: { type: 'number' }, b: { type: 'number' } }, required: ['a', 'b'] },
    },
  ],
  callTool: (_name, { a, b }) => String(Number(a) + Number(b)),
};
