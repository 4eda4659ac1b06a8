import type { Messages } from './messages.ts';

/** Exchanges that are looked at: what middleware sets, it sets early. */
const LOOKS = 1000;
/** What crosses, and what Express itself sets on its way. */
const EXPECTED: ReadonlySet<string> = new Set(['body', 'next', 'route']);

/**
 * Warns of what middleware sets on `req` and `res.locals` before it hands on. It does not cross: those who come after
 * it do not see it, unless they are handlers of the same crossing.
 */
export class KeptProperties {
  readonly #warn: (message: string) => void;
  readonly #told = new Set<string>();
  #looks = 0;

  /** @param warn called once for each name */
  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** What is there before a handler is called; `null`: enough has been seen. */
  before({ req }: Messages): ReadonlySet<string> | null {
    if (this.#looks >= LOOKS) return null;
    this.#looks++;
    return new Set(Object.keys(req));
  }

  /** @param before what `before` has returned */
  handedOn({ req, res }: Messages, before: ReadonlySet<string> | null): void {
    if (before === null) return;
    for (const name of Object.keys(req))
      if (!before.has(name) && !EXPECTED.has(name) && !name.startsWith('_')) this.#tell(`req.${name}`);
    for (const name of Object.keys(res.locals)) this.#tell(`res.locals.${name}`);
  }

  #tell(name: string): void {
    if (this.#told.has(name)) return;
    this.#told.add(name);
    this.#warn(
      `saw middleware that sets ${name} and hands on; it stays in the plugin's process, where others do not see it: tell them by a header, or run the plugin inline`,
    );
  }
}
