import { toError } from '../../errors.ts';
import type { PluginProcess } from './plugin-process.ts';

export interface SuccessorOptions {
  readonly launch: () => PluginProcess;
  /** Imports the plugin's code in the process. */
  readonly load: (process: PluginProcess) => Promise<unknown>;
  /** How long it is kept when nobody takes it. */
  readonly keepMs: number;
}

/**
 * A process that stands by for one that will likely be killed: its plugin is imported, but not started, since two of
 * one plugin must not serve. It takes the place of the other at once, and ends unseen when that one comes round.
 */
export class Successor {
  readonly #options: SuccessorOptions;
  #coming: { readonly process: PluginProcess; readonly isLoaded: Promise<boolean> } | null = null;

  constructor(options: SuccessorOptions) {
    this.#options = options;
  }

  /** Lets one come, unless one does already. */
  prepare(): void {
    if (this.#coming !== null) return;
    const { launch, load, keepMs } = this.#options;
    const process = launch();
    const isLoaded = load(process).then(
      () => true,
      (error: unknown) => {
        process.kill(toError(error));
        return false;
      },
    );
    this.#coming = { process, isLoaded };
    setTimeout(() => {
      if (this.#coming?.process === process) this.drop();
    }, keepMs).unref();
  }

  /** The one that stands by, once its plugin is imported; `null`: there is none. It is the caller's from then on. */
  async take(): Promise<PluginProcess | null> {
    const coming = this.#coming;
    this.#coming = null;
    return coming !== null && (await coming.isLoaded) ? coming.process : null;
  }

  /** True when the process that has ended stood by: nobody misses it. */
  forget(process: PluginProcess): boolean {
    if (this.#coming?.process !== process) return false;
    this.#coming = null;
    return true;
  }

  drop(): void {
    this.#coming?.process.kill(new Error('nobody needed it'));
  }
}
