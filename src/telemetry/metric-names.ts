import { createHash } from 'node:crypto';

/** Characters of the hash that tells two owners of one name apart. */
const SUFFIX_LENGTH = 8;
/** What a histogram `x` shows itself as, besides `x`. */
const HISTOGRAM_SUFFIXES = ['', '_bucket', '_sum', '_count'];

/**
 * Full names of plugins' metrics. Different plugins may come to one name (`a-b` with `c`, `a` with `b_c`), or to one of
 * the gateway's own: the later one gets a suffix made of its plugin's name, so that neither fails nor counts into the
 * other's.
 */
export class MetricNames {
  readonly #taken: Set<string>;

  /** @param own full names of the gateway's own metrics */
  constructor(own: readonly string[]) {
    this.#taken = new Set(own);
  }

  take(plugin: string, name: string, histogram: boolean): string {
    const plain = `llmrouter_plugin_${plugin.replace(/[^a-zA-Z0-9_]/g, '_')}_${name}`;
    const hash = createHash('sha256')
      .update(JSON.stringify([plugin, name]))
      .digest('hex')
      .slice(0, SUFFIX_LENGTH);
    const fullName = this.#isFree(plain, histogram) ? plain : `${plain}_${hash}`;
    for (const shown of shownAs(fullName, histogram)) this.#taken.add(shown);
    return fullName;
  }

  #isFree(name: string, histogram: boolean): boolean {
    return shownAs(name, histogram).every((shown) => !this.#taken.has(shown));
  }
}

function shownAs(name: string, histogram: boolean): string[] {
  return histogram ? HISTOGRAM_SUFFIXES.map((suffix) => name + suffix) : [name];
}
