import { toError, WrongAnswerError } from '../../errors.ts';

/**
 * What a plugin has answered, checked as the pipeline checks it, but before it crosses: JSON would make nothing of a
 * function, say, and nothing is an answer of its own.
 *
 * @throws WrongAnswerError
 */
export function checked<T>(check: (value: unknown) => T, value: unknown): T {
  try {
    return check(value);
  } catch (thrown) {
    throw new WrongAnswerError(toError(thrown).message);
  }
}
