import type { Evaluator } from '../plugin-api/evaluator.ts';
import type { LlmHooks } from '../plugin-api/llm.ts';
import type { Member } from './member.ts';
import type { Guard, LlmPhases } from './types.ts';

/**
 * Finds who must not be passed by: evaluators that block, hooks of plugins that fail closed, those plugins themselves
 * when they did not start, and every hook that wants to see the answer while it streams. One of each side is enough to
 * refuse what none of them could see.
 */
export function compileGuards(members: readonly Member[]): Pick<LlmPhases, 'inputGuard' | 'outputGuard'> {
  return {
    inputGuard: firstGuard(members, 'input', ({ onRequest }) => onRequest !== undefined),
    outputGuard: firstGuard(members, 'output', hooksOutput),
  };
}

function hooksOutput({ onChunk, onResponse }: LlmHooks): boolean {
  return onChunk !== undefined || onResponse !== undefined;
}

function firstGuard(
  members: readonly Member[],
  side: 'input' | 'output',
  hooksSide: (hooks: LlmHooks) => boolean,
): Guard | null {
  for (const member of members) {
    const what = guardOf(member, side, hooksSide);
    if (what !== null) return Object.freeze({ plugin: member.name, what });
  }
  return null;
}

function guardOf(
  member: Member,
  side: 'input' | 'output',
  hooksSide: (hooks: LlmHooks) => boolean,
): string | null {
  const { name, bag, guards, failClosed, failOpen } = member;
  if (bag === null) return guards.requests ? `plugin "${name}"` : null;
  const evaluator = bag.evaluators.find((each) => !failOpen && blocks(each, side));
  if (evaluator !== undefined) return `evaluator "${evaluator.name}"`;
  const isGuard = (hooks: LlmHooks): boolean =>
    (failClosed && hooksSide(hooks)) || (side === 'output' && hooks.onChunk !== undefined);
  return bag.hooks.some(isGuard) ? `llm hook of plugin "${name}"` : null;
}

function blocks(evaluator: Evaluator, side: 'input' | 'output'): boolean {
  return evaluator.mode === 'block' && evaluator[side] !== undefined;
}
