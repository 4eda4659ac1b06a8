/** A stretch of one text, and what stands there instead. */
export interface Mask {
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/** What is masked of one text, of which the beginning may have left already. */
export class Masks {
  #masks: Mask[] = [];

  get isEmpty(): boolean {
    return this.#masks.length === 0;
  }

  /**
   * Takes the latest judgement of the whole text. What it says of characters before `left` comes too late.
   *
   * @param left how many characters have left
   */
  update(latest: readonly Mask[], left: number): void {
    if (latest.length === 0 && this.#masks.length === 0) return;
    const begun = this.#masks.filter(({ start }) => start < left);
    const late = latest.filter(({ end }) => end > left).map((mask) => beginAt(mask, left, begun));
    this.#masks = merge([...begun, ...late]);
  }

  /** The characters of `text` from `start` to `end`, masked. A replacement stands where its mask begins. */
  render(text: string, start: number, end: number): string {
    if (this.#masks.length === 0) return text.slice(start, end);
    let rendered = '';
    let at = start;
    for (const mask of this.#masks) {
      if (mask.end <= at) continue;
      if (mask.start >= end) break;
      rendered += text.slice(at, Math.max(at, mask.start));
      if (mask.start >= start) rendered += mask.replacement;
      at = Math.min(mask.end, end);
    }
    return rendered + text.slice(at, end);
  }
}

/** The text with all of `masks` applied. */
export function applyMasks(text: string, masks: readonly Mask[]): string {
  const all = new Masks();
  all.update(masks, 0);
  return all.render(text, 0, text.length);
}

/** Of a mask whose beginning has left unmasked, or masked before, only the rest can be masked. */
function beginAt(mask: Mask, left: number, begun: readonly Mask[]): Mask {
  if (mask.start >= left) return mask;
  const before = begun.find(({ start, end }) => start <= mask.start && end > mask.start);
  return before === undefined ? { ...mask, start: left } : { ...before, end: Math.max(before.end, mask.end) };
}

/** In order, those that overlap as one: the first one's replacement stands for them all. */
function merge(masks: readonly Mask[]): Mask[] {
  const merged: Mask[] = [];
  for (const mask of masks.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = merged.at(-1);
    if (last === undefined || last.end <= mask.start) merged.push(mask);
    else if (last.end < mask.end) merged[merged.length - 1] = { ...last, end: mask.end };
  }
  return merged;
}
