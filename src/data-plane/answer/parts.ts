import type { LlmDelta } from '../../plugin-api/llm-event.ts';
import { JoinedText } from '../text/joined-text.ts';
import { Masks } from '../text/masks.ts';
import type { TextKind, TextSlot } from '../text/slot.ts';

/** One of the answers that a request asked for. Counts the characters of all its texts together. */
export class Choice {
  length = 0;
  /** How many of them evaluators have judged. */
  judged = 0;
  isFinished = false;
}

/** One text of an answer, put together from its pieces. */
export class Part {
  readonly kind: TextKind;
  readonly choice: Choice;
  readonly choiceIndex: number;
  /** Which text of this kind in its choice. */
  readonly index: number;
  readonly masks: Masks = new Masks();
  /** As hooks have left it. */
  text = '';
  /** The upstream has sent some of it. */
  hasBegun = false;
  /** How many characters have left the gateway. */
  left = 0;
  /** Pieces that hooks may still add to. */
  held: Piece[] = [];
  /** Hooks have held back or changed a piece: they may have more to say than what they have let go. */
  isOpen = false;
  /** Of a tool call. */
  toolId: string | null = null;
  toolName: string | null = null;

  constructor(kind: TextKind, choice: Choice, choiceIndex: number, index: number) {
    this.kind = kind;
    this.choice = choice;
    this.choiceIndex = choiceIndex;
    this.index = index;
  }
}

/** What one slot adds to its part, or repeats of it. */
export class Piece {
  readonly slot: TextSlot;
  readonly part: Part;
  /** The slot has the whole text of its part, which has been sent in pieces before. */
  readonly isRepeat: boolean;
  /** Where it stands in the text of its part. */
  start = 0;
  end = 0;
  /** How long all texts of the choice were with it. */
  mark = 0;
  isHeld = false;
  #pending = '';

  constructor(slot: TextSlot, part: Part, isRepeat: boolean) {
    this.slot = slot;
    this.part = part;
    this.isRepeat = isRepeat;
  }

  /** Adds what hooks have made of the piece to its part. */
  settle(text: string): void {
    const { part } = this;
    this.isHeld = false;
    this.start = part.text.length;
    part.text += this.#pending + text;
    this.end = part.text.length;
    part.choice.length += this.end - this.start;
    this.mark = part.choice.length;
  }

  /** @param text goes on in any case; more of it may come */
  hold(text: string): void {
    this.isHeld = true;
    this.#pending = text;
    this.part.isOpen = true;
    this.part.held.push(this);
  }

  /** As hooks have left it. */
  get text(): string {
    const { text } = this.part;
    if (this.isRepeat || (this.start === 0 && this.end === text.length)) return text;
    return text.slice(this.start, this.end);
  }

  /** As it leaves. */
  get masked(): string {
    const { part } = this;
    if (part.masks.isEmpty) return this.text;
    return this.isRepeat
      ? part.masks.render(part.text, 0, part.text.length)
      : part.masks.render(part.text, this.start, this.end);
  }
}

/** All texts of one answer. */
export class Parts {
  readonly #parts = new Map<string, Part>();
  readonly #choices = new Map<number, Choice>();

  /** The piece of a slot; `null` when there is nothing new in it. */
  pieceOf(slot: TextSlot): Piece | null {
    const part = this.#partOf(slot);
    if (slot.tool !== null) {
      part.toolId ??= slot.tool.id;
      part.toolName ??= slot.tool.name;
    }
    const isRepeat = slot.repeats && part.hasBegun;
    if (isRepeat && slot.text === '') return null;
    if (slot.text !== '') part.hasBegun = true;
    return new Piece(slot, part, isRepeat);
  }

  /** The part that a delta of a hook belongs to. */
  find({ type, choice, index }: LlmDelta): Part | undefined {
    for (const part of this.#parts.values()) {
      if (part.kind === type && part.choiceIndex === choice && part.index === index) return part;
    }
    return undefined;
  }

  /** What hooks still hold of a choice, or of all, is dropped. */
  dropHeld(choice: number | null): void {
    for (const part of this.#parts.values()) {
      if (choice === null || part.choiceIndex === choice) releaseHeld(part, '');
    }
  }

  finish(choice: number): void {
    this.#choiceOf(choice).isFinished = true;
  }

  get areSeveralChoices(): boolean {
    return this.#choices.size > 1;
  }

  /** The texts so far, in the order in which they began. */
  joined(): JoinedText<Part> {
    return new JoinedText([...this.#parts.values()].map((part) => [part, part.text]));
  }

  /** All of {@link joined} has been judged. */
  markJudged(): void {
    for (const choice of this.#choices.values()) choice.judged = choice.length;
  }

  #partOf(slot: TextSlot): Part {
    const known = this.#parts.get(slot.part);
    if (known !== undefined) return known;
    const { kind, choice } = slot;
    let index = 0;
    for (const other of this.#parts.values()) {
      if (other.kind === kind && other.choiceIndex === choice) index++;
    }
    const part = new Part(kind, this.#choiceOf(choice), choice, index);
    this.#parts.set(slot.part, part);
    return part;
  }

  #choiceOf(index: number): Choice {
    const known = this.#choices.get(index);
    if (known !== undefined) return known;
    const choice = new Choice();
    this.#choices.set(index, choice);
    return choice;
  }
}

/** Lets go what hooks have held of a text: the last piece carries `text` besides. */
export function releaseHeld(part: Part, text: string): void {
  const { held } = part;
  if (held.length === 0) return;
  part.held = [];
  const last = held.pop();
  for (const piece of held) piece.settle('');
  last?.settle(text);
}
