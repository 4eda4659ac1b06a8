import type { Stretch } from './finding.ts';
import type { Rule } from './rules.ts';

export interface Finding extends Stretch {
  readonly rule: Rule;
}

/** What was found in a text so far. */
interface Scan {
  readonly text: string;
  readonly findings: readonly Finding[];
}

/** Searches texts by rules, and texts that grow from where something may have changed. */
export class Scanner {
  readonly #rules: readonly Rule[];
  /** Characters behind which nothing that was found can change any more. */
  readonly #margin: number;
  readonly #scans = new WeakMap<object, Scan>();

  constructor(rules: readonly Rule[], margin: number) {
    this.#rules = rules;
    this.#margin = margin;
  }

  /** All that the rules find, in order, without overlaps: the first rule counts. */
  scan(text: string): readonly Finding[] {
    return this.#search(text, 0);
  }

  /**
   * Scans a text that was scanned before, when there was less of it.
   *
   * @param key the same for all states of one text
   */
  scanMore(key: object, text: string): readonly Finding[] {
    const before = this.#scans.get(key);
    const isMore = before !== undefined && text.startsWith(before.text);
    const findings = isMore ? this.#scanOn(before, text) : this.scan(text);
    this.#scans.set(key, { text, findings });
    return findings;
  }

  #scanOn(before: Scan, text: string): readonly Finding[] {
    const settled = before.text.length - this.#margin;
    const open = before.findings.find(({ end }) => end > settled);
    const from = Math.max(0, Math.min(settled, open?.start ?? settled));
    return [...before.findings.filter(({ end }) => end <= from), ...this.#search(text, from)];
  }

  #search(text: string, from: number): readonly Finding[] {
    let findings: readonly Finding[] = [];
    let left = text;
    for (const rule of this.#rules) {
      const found = [...rule.find(left, from)].map(({ start, end }) => ({ rule, start, end }));
      if (found.length === 0) continue;
      findings = merge(findings, found);
      left = without(left, found);
    }
    return findings;
  }
}

/** The text with nothing where something was found: a later rule begins behind it, and finds what it would have hidden. */
function without(text: string, found: readonly Finding[]): string {
  let left = '';
  let at = 0;
  for (const { start, end } of found) {
    left += text.slice(at, start) + '\0'.repeat(end - start);
    at = end;
  }
  return left + text.slice(at);
}

/** Both are in order, without overlaps. */
function merge(findings: readonly Finding[], found: readonly Finding[]): readonly Finding[] {
  return [...findings, ...found].sort((a, b) => a.start - b.start);
}
