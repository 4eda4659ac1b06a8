import type { RequestHandler } from 'express';
import type { LlmPhases, MiddlewarePhase, Pipeline, ProviderPhase } from '../../src/pipeline/types.ts';
import type { Storage } from '../../src/plugin-api/storage.ts';

/** A pipeline that no plugin takes part in, but for what is given. */
export function emptyPipeline(
  parts: Partial<Omit<Pipeline, 'llm' | 'middleware'>> & {
    readonly llm?: Partial<LlmPhases>;
    readonly middleware?: RequestHandler | null;
  } = {},
): Pipeline {
  const { llm, middleware, ...rest } = parts;
  return {
    generation: 1,
    auth: null,
    accounts: null,
    middleware: middleware == null ? null : everywhere(middleware),
    routes: null,
    strategies: new Map(),
    providers: new Map(),
    tools: {
      list: async () => [],
      find: async () => null,
      call: async () => ({ content: [], isError: true }),
    },
    export: null,
    storage: NO_STORAGE,
    ...rest,
    llm: {
      onRequest: null,
      evaluateInput: null,
      onRoute: null,
      onChunk: null,
      evaluateOutput: null,
      outputWindow: 256,
      observeOutput: null,
      onResponse: null,
      onError: null,
      inputGuard: null,
      outputGuard: null,
      ...llm,
    },
  };
}

/** A provider that has no more than is given. */
export function providing(methods: Partial<ProviderPhase>): ProviderPhase {
  return { chat: null, languageModel: null, embeddingModel: null, ...methods };
}

const NO_STORAGE = new Proxy({} as Storage, {
  get() {
    throw new Error('this test has no storage');
  },
});

/** A handler that takes part in every request. */
export function everywhere(handle: RequestHandler): MiddlewarePhase {
  return { handle, concerns: () => true };
}
