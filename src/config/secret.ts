const REDACTED = '[redacted]';

/** A value that shows itself nowhere: not in logs, not in JSON, not to `util.inspect`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Each caller is a place to look at in a security review. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }
}
