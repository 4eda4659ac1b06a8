import { basename, relative } from 'node:path';
import { ownerOfPath } from '../containment/blame.ts';
import type { Marked } from '../containment/spotlight.ts';
import type { Frame } from './main-thread.ts';
import type { Suspect, Tombstone } from './types.ts';

/** What is known of a stall. */
export interface Clues {
  /** What the spotlight shows. */
  readonly marked: Marked | null;
  /** The suspect that is being imported; 0: none. */
  readonly importing: number;
  /** Innermost first; empty when the stack could not be seen. */
  readonly frames: readonly Pick<Frame, 'path' | 'functionName' | 'line' | 'column'>[];
  readonly suspects: ReadonlyMap<number, Suspect>;
}

export type Judgement = Pick<Tombstone, 'phase' | 'place'> & { readonly suspect: Suspect | null };

/**
 * Who holds the thread up: whose call it is, as {@link Containment.blame} has it; else whose code stands innermost on
 * the stack, as in a timer or after an `await`; else who is being imported. The gateway's own stall is blamed on nobody.
 */
export function judge(clues: Clues): Judgement {
  const { suspect, phase } = findSuspect(clues);
  return { suspect, phase, place: findPlace(clues, suspect) };
}

function findSuspect({ marked, importing, frames, suspects }: Clues): Omit<Judgement, 'place'> {
  const called = marked === null ? undefined : suspects.get(marked.id);
  if (marked !== null && called !== undefined) return { suspect: called, phase: marked.phase };
  for (const { path } of frames) {
    const suspect = ownerOfPath(path, suspects.values());
    if (suspect !== undefined) return { suspect, phase: suspect.id === importing ? 'import' : 'background' };
  }
  const imported = suspects.get(importing);
  return imported === undefined ? { suspect: null, phase: null } : { suspect: imported, phase: 'import' };
}

/** The plugin's innermost frame, told without the folders that it lies in; for the gateway's own the innermost one. */
function findPlace({ frames }: Clues, suspect: Suspect | null): string | null {
  const frame = suspect === null ? frames[0] : frames.find(({ path }) => ownerOfPath(path, [suspect]));
  if (frame === undefined) return null;
  const root = suspect?.root ?? null;
  const file = root === null ? frame.path : relative(root, frame.path) || basename(frame.path);
  return `${file}:${frame.line}:${frame.column}${frame.functionName && ` (${frame.functionName})`}`;
}
