import { RubbishError } from './frames.ts';

/** A message: a call (`c`, with the call it is made for, `f`), a result (`r`), an event (`e`), an abort (`a`), a notice. */
export interface Message {
  readonly c?: number;
  readonly m?: string;
  readonly p?: unknown;
  readonly f?: number;
  readonly r?: number;
  readonly x?: unknown;
  readonly e?: number;
  readonly a?: number;
}

/** @throws RubbishError */
export function parseMessage(payload: Buffer): Message {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString());
  } catch {
    throw new RubbishError('saw a message that is no JSON');
  }
  if (typeof value !== 'object' || value === null) throw new RubbishError('saw a message that is no object');
  for (const key of ['c', 'f', 'r', 'e', 'a'] as const) {
    const id: unknown = (value as Message)[key];
    if (id !== undefined && typeof id !== 'number')
      throw new RubbishError(`saw the ${key} ${typeof id} in a message`);
  }
  const { m } = value as { m?: unknown };
  if (m !== undefined && typeof m !== 'string')
    throw new RubbishError('saw a name that is no text in a message');
  return value as Message;
}
