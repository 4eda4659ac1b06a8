/** A stretch of a text. */
export interface Stretch {
  readonly start: number;
  /** Behind the last character. */
  readonly end: number;
}

/** Finds one kind of data in `text`, at or behind `from`. What stands before `from` is looked at, and not found. */
export type Detector = (text: string, from: number) => Iterable<Stretch>;

/**
 * All matches of a regular expression that `accept` takes for real.
 *
 * @param pattern with the flag `g`
 */
export function matching(pattern: RegExp, accept: (match: string) => boolean = () => true): Detector {
  return function* (text, from) {
    // A copy: two texts may be searched in turn.
    const search = new RegExp(pattern);
    search.lastIndex = from;
    for (let match = search.exec(text); match !== null; match = search.exec(text)) {
      const [found] = match;
      if (found !== '' && accept(found)) yield { start: match.index, end: match.index + found.length };
      // What is none may hide one that begins in it.
      else search.lastIndex = match.index + 1;
    }
  };
}
