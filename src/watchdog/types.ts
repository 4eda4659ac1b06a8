import type { Phase } from '../containment/owner.ts';
import type { Silhouette } from '../lifecycle/silhouette.ts';

/** Somebody who may be to blame for a stall: a plugin, or one that is being imported. */
export interface Suspect {
  /** The number in the spotlight; negative while it is being imported. */
  readonly id: number;
  readonly name: string;
  readonly specifier: string;
  /** As {@link Owner.root}. */
  readonly root: string | null;
}

/** What the watched thread tells the watching one. */
export type WatchMessage =
  | { readonly kind: 'suspect'; readonly suspect: Suspect }
  | { readonly kind: 'cleared'; readonly id: number }
  | { readonly kind: 'outline'; readonly name: string; readonly silhouette: Silhouette };

/** What the watching thread begins with. */
export interface WatchOrder {
  /** Cells as in {@link CELL}. */
  readonly pulse: SharedArrayBuffer;
  readonly spotlight: SharedArrayBuffer;
  /** Folder for tombstones. */
  readonly dir: string;
  /** How often the pulse beats, and is felt. */
  readonly tickMs: number;
}

/** Cells of the pulse, 32-bit integers each. */
export const CELL = {
  /** Counts turns of the event loop. */
  BEATS: 0,
  /** The loop may stand still for so long, in milliseconds; 0: for ever. */
  LIMIT_MS: 1,
  /** `id` of the suspect that is being imported; 0: none. */
  IMPORTING: 2,
  /** 1: the tombstone has been written. */
  DOOMED: 3,
} as const;

export const PULSE_BYTES: number = 4 * Int32Array.BYTES_PER_ELEMENT;

/** What a process that stood still leaves behind. JSON. */
export interface Tombstone {
  /** When it was found to stand still, epoch milliseconds. */
  readonly at: number;
  readonly pid: number;
  readonly stalledMs: number;
  /** `null`: nobody could be blamed. */
  readonly plugin: {
    readonly name: string;
    readonly specifier: string;
    /** What has to stay shut without it, as far as it had started. */
    readonly silhouette: Silhouette | null;
  } | null;
  readonly phase: Phase | 'import' | null;
  /** File (relative to the plugin's folder), line, column and function; `null` inside of native code. */
  readonly place: string | null;
  readonly requestId: string | null;
}
