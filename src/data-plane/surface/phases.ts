import { GatewayError } from '../../errors.ts';
import type { Guard, LlmPhases } from '../../pipeline/types.ts';
import type { Surface } from './surface.ts';

/**
 * The hooks and evaluators that run on a surface. A form's parts are no JSON that a hook could change, and bytes that
 * pass through are no answer that it could read: there the phases of that side are absent. What must not be passed by
 * is the business of {@link assertGuarded}.
 */
export function phasesOn(surface: Surface, llm: LlmPhases): LlmPhases {
  // The common surface: the phases of the pipeline as they are.
  if (surface.answer === 'json') return llm;
  return surface.request === 'json' ? { ...llm, ...NO_OUTPUT } : { ...llm, ...NO_INPUT, ...NO_OUTPUT };
}

/**
 * A surface where a guard cannot run refuses rather than passes.
 *
 * @throws GatewayError `evaluator_unavailable`
 */
export function assertGuarded(surface: Surface, llm: LlmPhases): void {
  if (surface.answer === 'json') return;
  if (surface.request !== 'json' && llm.inputGuard !== null) throw unguarded(surface, llm.inputGuard);
  if (llm.outputGuard !== null) throw unguarded(surface, llm.outputGuard);
}

const NO_INPUT: Partial<LlmPhases> = { onRequest: null, evaluateInput: null };

const NO_OUTPUT: Partial<LlmPhases> = {
  onChunk: null,
  evaluateOutput: null,
  observeOutput: null,
  onResponse: null,
};

function unguarded({ path }: Surface, { plugin, what }: Guard): GatewayError {
  return new GatewayError('evaluator_unavailable', `The ${what} cannot run on ${path}`, { plugin });
}
