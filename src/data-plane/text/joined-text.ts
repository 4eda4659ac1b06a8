import type { MaskSpan } from '../../plugin-api/evaluator.ts';
import type { Mask } from './masks.ts';

interface Place<T> {
  readonly owner: T;
  readonly start: number;
  readonly end: number;
}

/** Several texts as the one that evaluators judge, joined by line feeds, and the way back from its offsets to them. */
export class JoinedText<T> {
  readonly text: string;
  readonly #places: Place<T>[] = [];

  /** Empty texts are left out. */
  constructor(texts: Iterable<readonly [owner: T, text: string]>) {
    const parts: string[] = [];
    let start = 0;
    for (const [owner, text] of texts) {
      if (text === '') continue;
      parts.push(text);
      this.#places.push({ owner, start, end: start + text.length });
      start += text.length + 1;
    }
    this.text = parts.length === 1 ? (parts[0] as string) : parts.join('\n');
  }

  /** The spans by the texts that they lie in. Of one that reaches over several, the first gets the replacement. */
  split(spans: readonly MaskSpan[]): ReadonlyMap<T, readonly Mask[]> {
    const masks = new Map<T, Mask[]>(this.#places.map(({ owner }) => [owner, []]));
    for (const { start, end, replacement = DEFAULT_REPLACEMENT } of spans) {
      let rest = replacement;
      for (let at = this.#placeAt(start); at < this.#places.length; at++) {
        const place = this.#places[at] as Place<T>;
        if (place.start >= end) break;
        const from = Math.max(start, place.start) - place.start;
        masks
          .get(place.owner)
          ?.push({ start: from, end: Math.min(end, place.end) - place.start, replacement: rest });
        rest = '';
      }
    }
    return masks;
  }

  /** The first text that ends behind `offset`. A request may have a hundred thousand texts, each with something to mask. */
  #placeAt(offset: number): number {
    let [low, high] = [0, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] as Place<T>).end > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

const DEFAULT_REPLACEMENT = '[masked]';
