import { z } from 'zod';

/** The longest time that a timer can wait. */
const MAX_SECONDS = 2_147_483;
const NAME = 'a text that is not blank';

/** A number, or a text that spells one: what `os.environ/…` stands for is always a text. */
export function amount(
  expected: string,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): z.ZodType<number> {
  const spelled = (value: unknown): unknown =>
    typeof value === 'string' && /^[\d.]+(e[+-]?\d+)?$/i.test(value.trim()) ? Number(value) : value;
  return z.preprocess(spelled, z.number(expected).min(min, expected).max(max, expected));
}

export function whole(expected: string, min: number): z.ZodType<number> {
  return amount(expected, min).refine(Number.isInteger, expected);
}

/** Seconds, 0 only where `min` is. */
export function seconds(min: number): z.ZodType<number> {
  return amount(`a number of seconds from ${min} to ${MAX_SECONDS}`, min, MAX_SECONDS);
}

export const name: z.ZodType<string> = z.string(NAME).trim().min(1, NAME);

export function toMs(time: number | null | undefined): number | null {
  return time == null ? null : Math.round(time * 1000);
}
