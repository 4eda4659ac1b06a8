import type { Containment } from '../containment/containment.ts';
import type { Storage } from '../plugin-api/storage.ts';
import { compileAuth } from './auth.ts';
import { compileEvaluators } from './evaluators.ts';
import type { ExportQueue } from './exporters.ts';
import { compileGuards } from './guards.ts';
import { compileHooks } from './hooks.ts';
import type { Member } from './member.ts';
import { compileMiddleware } from './middleware.ts';
import { compileProviders } from './providers.ts';
import { compileRoutes } from './routes.ts';
import { type AdaptBackend, compileStorage } from './storage.ts';
import { compileStrategies } from './strategies.ts';
import { compileTools } from './tools.ts';
import type { Pipeline } from './types.ts';

export interface CompilerOptions {
  readonly containment: Containment;
  readonly exports: ExportQueue;
  /** The store when no plugin brings one. */
  readonly embedded: Storage;
  readonly adaptBackend: AdaptBackend;
}

/** Compiles generation after generation. */
export type PipelineCompiler = (members: readonly Member[]) => Pipeline;

/** Makes the compiler. `members` are given in load order, and only those that may take part or must keep a gate shut. */
export function createPipelineCompiler(options: CompilerOptions): PipelineCompiler {
  const { containment, exports, embedded, adaptBackend } = options;
  let generation = 0;
  return (members) =>
    Object.freeze({
      generation: ++generation,
      ...compileAuth(containment, members),
      middleware: compileMiddleware(containment, members),
      routes: compileRoutes(containment, members),
      llm: Object.freeze({
        ...compileHooks(containment, members),
        ...compileEvaluators(containment, members),
        ...compileGuards(members),
      }),
      strategies: compileStrategies(containment, members),
      providers: compileProviders(containment, members),
      tools: compileTools(containment, members),
      export: exports.compile(members),
      storage: compileStorage(containment, members, embedded, adaptBackend),
    });
}
