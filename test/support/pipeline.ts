import type { LlmPhases, Pipeline } from '../../src/pipeline/types.ts';
import type { Storage } from '../../src/plugin-api/storage.ts';

/** A pipeline that no plugin takes part in, but for what is given. */
export function emptyPipeline(
  parts: Partial<Omit<Pipeline, 'llm'>> & { readonly llm?: Partial<LlmPhases> } = {},
): Pipeline {
  const { llm, ...rest } = parts;
  return {
    generation: 1,
    auth: null,
    middleware: null,
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
      observeOutput: null,
      onResponse: null,
      onError: null,
      inputGuard: null,
      outputGuard: null,
      ...llm,
    },
  };
}

const NO_STORAGE = new Proxy({} as Storage, {
  get() {
    throw new Error('this test has no storage');
  },
});
