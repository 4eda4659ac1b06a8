import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Containment } from '../../src/containment/containment.ts';
import type { Contributions } from '../../src/contributions.ts';
import { createPipelineCompiler } from '../../src/pipeline/compile.ts';
import { ExportQueue } from '../../src/pipeline/exporters.ts';
import type { Pipeline } from '../../src/pipeline/types.ts';
import type { RouteLoad, RouteResult } from '../../src/plugin-api/routing.ts';
import type { Storage } from '../../src/plugin-api/storage.ts';
import type { ToolCall } from '../../src/plugin-api/tools.ts';
import { RequestScope } from '../../src/request-scope.ts';
import { toStorage } from '../../src/storage/backend-storage.ts';
import { authRequest, candidate, createMember, llmRequest, llmResponse } from './support.ts';

const DEPLOYMENT = { ...candidate('mine/0'), apiBase: null, apiKey: null, headers: {} };
const ROUTE = { deployment: DEPLOYMENT, strategy: 'mine', attempt: 1 };
const TEXT = { type: 'text', text: 'a', choice: 0, index: 0, raw: {} } as const;
const IDLE: RouteLoad = { inFlight: [0] };
const ESTIMATE = {
  id: 'req-1',
  surface: 'chat.completions',
  model: 'echo',
  inputBytes: 1,
  maxOutputTokens: null,
  inputCostPerToken: null,
  outputCostPerToken: null,
} as const;
const OUTCOME = { answered: true, usage: null, costUsd: null } as const;
const TOOL_CALL: ToolCall = { id: 'req-9', identity: null, signal: new AbortController().signal };
const RESULT: RouteResult = {
  requestId: 'req-9',
  deployment: DEPLOYMENT,
  ok: true,
  status: 200,
  totalMs: 1,
  firstByteMs: 1,
  firstTokenMs: null,
  usage: null,
};

/** How to call each contribution for a request. What it calls may fail: it is known by then who was asked, and for whom. */
const CALLS: Readonly<Record<string, (pipeline: Pipeline, scope: RequestScope) => unknown>> = {
  'auth authenticate': ({ auth }, scope) => auth?.(authRequest(), scope),
  'auth reserve': (pipeline, scope) => reserve(pipeline, scope),
  'auth settle': async (pipeline, scope) => (await reserve(pipeline, scope))?.settle(OUTCOME),
  'hook onRequest': ({ llm }, scope) => llm.onRequest?.(llmRequest(), scope),
  'hook onRoute': ({ llm }, scope) => llm.onRoute?.(llmRequest(), ROUTE, scope),
  'hook onChunk': ({ llm }, scope) => llm.onChunk?.(llmRequest(), TEXT, scope),
  'hook onResponse': ({ llm }, scope) => llm.onResponse?.(llmRequest(), llmResponse(), scope),
  'hook onError': ({ llm }, scope) => llm.onError?.(llmRequest(), new Error('x'), scope),
  'evaluator input': ({ llm }, scope) => llm.evaluateInput?.(llmRequest(), scope),
  'evaluator output': ({ llm }, scope) => llm.evaluateOutput?.(llmRequest(), llmResponse(), scope),
  'observer output': ({ llm }, scope) => llm.observeOutput?.(llmRequest(), llmResponse(), scope),
  'strategy select': ({ strategies }, scope) =>
    strategies.get('mine')?.select(llmRequest(), [DEPLOYMENT], IDLE, scope),
  'strategy observe': ({ strategies }, scope) => strategies.get('mine')?.observe?.(RESULT, scope),
  'provider chat': ({ providers }, scope) => providers.get('mine')?.chat?.(llmRequest(), DEPLOYMENT, scope),
  'provider languageModel': ({ providers }, scope) =>
    providers.get('mine')?.languageModel?.(DEPLOYMENT, scope),
  'provider embeddingModel': ({ providers }, scope) =>
    providers.get('mine')?.embeddingModel?.(DEPLOYMENT, scope),
  'tool callTool': ({ tools }, scope) => tools.call('mine', {}, TOOL_CALL, scope),
};

async function reserve({ auth, accounts }: Pipeline, scope: RequestScope) {
  const identity = await auth?.(authRequest(), scope);
  assert.ok(identity !== undefined);
  return accounts?.reserve({ ...ESTIMATE, identity }, scope);
}

describe('a call into a plugin knows the request that it is made for, and is charged to it', () => {
  for (const [wanted, call] of Object.entries(CALLS)) {
    it(wanted, async () => {
      const containment = new Containment();
      const seen = new Map<string, string | undefined>();
      const note = (what: string, value: unknown) => () => {
        seen.set(what, containment.current()?.request?.id);
        return value;
      };
      const member = createMember('mine', (bag) => contribute(bag, note));
      const pipeline = createPipelineCompiler({
        containment,
        exports: new ExportQueue(containment),
        embedded: Object.freeze({}) as Storage,
        adaptBackend: toStorage,
      })([member]);

      const charged: string[] = [];
      const scope = new RequestScope('req-9', {
        charge: (plugin, phase, ms) => {
          assert.ok(ms >= 0);
          charged.push(`${plugin} ${phase}`);
        },
      });
      await Promise.resolve(call(pipeline, scope)).catch(() => undefined);
      await setImmediate();

      assert.equal(seen.get(wanted), 'req-9');
      const phase = wanted.split(' ')[0]?.replace('observer', 'evaluator');
      assert.deepEqual(charged, new Array(seen.size).fill(`mine ${phase}`));
    });
  }
});

/** One contribution of each kind that notes who has called it for what. */
function contribute(bag: Contributions, note: (what: string, value: unknown) => () => unknown): void {
  const all = (kind: string, values: Readonly<Record<string, unknown>>): never =>
    Object.fromEntries(
      Object.entries(values).map(([method, value]) => [method, note(`${kind} ${method}`, value)]),
    ) as never;
  bag.authProviders.push({
    name: 'mine',
    ...(all('auth', { authenticate: { id: 'team' }, reserve: { ticket: 1 }, settle: undefined }) as object),
  } as never);
  bag.hooks.push(
    all('hook', {
      onRequest: undefined,
      onRoute: undefined,
      onChunk: undefined,
      onResponse: undefined,
      onError: undefined,
    }),
  );
  bag.evaluators.push({
    name: 'a',
    mode: 'block',
    ...(all('evaluator', { input: undefined, output: undefined }) as object),
  } as never);
  bag.evaluators.push({
    name: 'b',
    mode: 'observe',
    ...(all('observer', { output: undefined }) as object),
  } as never);
  bag.strategies.set('mine', all('strategy', { select: DEPLOYMENT, observe: undefined }));
  bag.providers.set(
    'mine',
    all('provider', { chat: undefined, languageModel: undefined, embeddingModel: undefined }),
  );
  const tool = { name: 'mine', description: '', inputSchema: { type: 'object' } };
  bag.toolRuntimes.push({
    listTools: () => [tool],
    ...(all('tool', { callTool: 'done' }) as object),
  } as never);
}
