/** Admits calls into a quarantined plugin: none, or one at a time once its cool-down has ended. */
export interface TrialGate {
  /** True: this call is the trial, and `end` must follow. */
  begin(): boolean;
  /** `null`: the trial told nothing, another call may try. */
  end(succeeded: boolean | null): void;
  /** Whole seconds until it may be worth asking again; at least 1. */
  retryAfterSeconds(): number;
}
