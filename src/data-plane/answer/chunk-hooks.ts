import { GatewayError } from '../../errors.ts';
import { deepFreeze } from '../../freeze.ts';
import type { LlmPhases } from '../../pipeline/types.ts';
import type { LlmRequest, LlmUsage } from '../../plugin-api/llm.ts';
import type { LlmDelta, LlmDeltaEvent, LlmEvent } from '../../plugin-api/llm-event.ts';
import type { RequestScope } from '../../request-scope.ts';
import type { Call } from '../call.ts';
import type { Entry } from './entry.ts';
import { type Part, type Parts, type Piece, releaseHeld } from './parts.ts';

/** The `onChunk` hooks on the events of one answer. */
export class ChunkHooks {
  readonly #onChunk: NonNullable<LlmPhases['onChunk']>;
  readonly #request: LlmRequest;
  readonly #scope: RequestScope | null;
  readonly #parts: Parts;
  #hasBegun = false;

  constructor(onChunk: NonNullable<LlmPhases['onChunk']>, { request, scope }: Call, parts: Parts) {
    this.#onChunk = onChunk;
    this.#request = request;
    this.#scope = scope;
    this.#parts = parts;
  }

  /**
   * Shows hooks all that an event of the surface holds, and takes over what they make of it.
   *
   * @param usage what the event says of it, `null` when nothing
   * @throws an error with a `status` from 400 to 499: the hook cuts the answer. GatewayError `plugin_error`, when a hook
   * lets go what it does not hold
   */
  async apply(entry: Entry, usage: LlmUsage | null): Promise<void> {
    const { chunk, reading, pieces } = entry;
    const raw = deepFreeze(chunk);
    let told = usage !== null || reading.error !== null || reading.finishes.length > 0;
    for (const piece of pieces) {
      if (piece.isRepeat) continue;
      told = true;
      await this.#delta(piece, raw);
    }
    if (usage !== null) {
      const left = await this.#tell({ type: 'usage', choice: 0, usage, raw });
      entry.isDropped = left.length === 0 && pieces.length === 0 && !entry.isLast && !reading.keeps;
    }
    if (reading.error !== null) await this.#tell({ type: 'error', choice: 0, ...reading.error, raw });
    for (const { choice, reason } of reading.finishes) {
      this.#settle(null, await this.#tell({ type: 'finish', choice, reason, raw }));
      this.#parts.dropHeld(choice);
    }
    if (told) return;
    const left = await this.#tell({ type: 'other', choice: 0, raw });
    entry.isDropped = left.length === 0 && !entry.isLast;
  }

  async #delta(piece: Piece, raw: Entry['chunk']): Promise<void> {
    if (!this.#hasBegun && piece.slot.text !== '') {
      this.#hasBegun = true;
      await this.#tell({ type: 'first-token', choice: piece.part.choiceIndex, raw });
    }
    const event = toEvent(piece, raw);
    const left = await this.#tell(event);
    // An announcement has no text that could be changed or held back.
    if (piece.slot.text === '') piece.settle('');
    else this.#settle(piece, left);
  }

  #tell(event: LlmEvent): Promise<readonly (LlmEvent | LlmDelta)[]> {
    return this.#onChunk(this.#request, Object.freeze(event), this.#scope);
  }

  /** Puts the deltas that hooks have left where there is room for them: into this piece, or into one that they held. */
  #settle(current: Piece | null, left: readonly (LlmEvent | LlmDelta)[]): void {
    const texts = new Map<Part, string>();
    for (const delta of left.filter(isDelta)) {
      const part = this.#parts.find(delta);
      if (delta.text === '' && part !== current?.part) continue;
      if (part === undefined || (part !== current?.part && part.held.length === 0)) throw notHeld(delta);
      texts.set(part, (texts.get(part) ?? '') + delta.text);
    }
    for (const [part, text] of texts) {
      if (part !== current?.part) releaseHeld(part, text);
    }
    if (current === null) return;
    const text = texts.get(current.part);
    if (text !== undefined) releaseHeld(current.part, '');
    // A hook that splits a piece keeps the rest: what it lets go at the finish must find a place.
    if (text === current.slot.text && !current.part.isOpen) current.settle(text);
    else current.hold(text ?? '');
  }
}

function toEvent({ part, slot }: Piece, raw: Entry['chunk']): LlmDeltaEvent {
  const { kind, choiceIndex: choice, index } = part;
  const { text } = slot;
  if (kind !== 'tool-input') return { type: kind, choice, index, text, raw };
  return { type: kind, choice, index, id: part.toolId, name: part.toolName, text, raw };
}

function isDelta(event: LlmEvent | LlmDelta): event is LlmDelta {
  return event.type === 'text' || event.type === 'reasoning' || event.type === 'tool-input';
}

function notHeld({ type, choice, index }: LlmDelta): GatewayError {
  const what = `${type} ${index} of choice ${choice}`;
  return new GatewayError(
    'plugin_error',
    `An llm hook onChunk let go ${what}; expected text of the event itself, or of one that it holds back`,
  );
}
