import { compileBounded } from './bounded-pattern.ts';
import { ENTITIES } from './entities.ts';
import { type Detector, matching } from './finding.ts';

export type Action = 'mask' | 'block';

/** What is searched for, and what happens to it. */
export interface Rule {
  readonly entity: string;
  readonly action: Action;
  readonly find: Detector;
  readonly replacement: string;
}

/** The settings as their schema has them. */
export interface GuardSettings {
  readonly action: Action;
  readonly entities: Readonly<Record<string, Action | 'off'>>;
  readonly replacement: string;
  readonly patterns: readonly CustomPattern[];
}

export interface CustomPattern {
  readonly name: string;
  readonly pattern: string;
  readonly ignore_case?: boolean;
  readonly action?: Action;
}

/**
 * The rules that the settings ask for. Own patterns come first, so that they win where they overlap.
 *
 * @throws Error for a pattern that is wrong or not bounded, or whose name is taken
 */
export function toRules({ action, entities, replacement, patterns }: GuardSettings): readonly Rule[] {
  const rules: Rule[] = [];
  const add = (entity: string, chosen: Action | 'off', find: Detector): void => {
    if (chosen === 'off') return;
    rules.push({ entity, action: chosen, find, replacement: nameIn(replacement, entity) });
  };
  for (const each of patterns) {
    if (ENTITIES.has(each.name) || rules.some(({ entity }) => entity === each.name)) {
      throw new Error(`patterns: the name "${each.name}" is taken, expected another one`);
    }
    add(each.name, each.action ?? action, matching(compile(each)));
  }
  for (const [entity, find] of ENTITIES) add(entity, entities[entity] ?? action, find);
  return rules;
}

function compile({ name, pattern, ignore_case: ignoreCase = false }: CustomPattern): RegExp {
  try {
    return compileBounded(pattern, ignoreCase);
  } catch (error) {
    throw new Error(`patterns: "${name}" cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

function nameIn(replacement: string, entity: string): string {
  return replacement.replaceAll('{entity}', () => entity.toUpperCase());
}
