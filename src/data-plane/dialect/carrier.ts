import type { AnswerHandler, UpstreamCall } from '../upstream/upstream.ts';
import type { AnswerContext } from './answer.ts';
import type { ClientDialect } from './client/table.ts';

/** Carries calls of clients' dialects to an upstream of another. */
export interface Carrier {
  /** Starts an attempt; `handler` gets the answer in the client's dialect. Never throws. */
  carry(call: UpstreamCall, client: ClientDialect, handler: AnswerHandler): void;
}

/** @param model the model's name, should the upstream not say it */
export function answerContext({ id, body }: UpstreamCall, model: string): AnswerContext {
  return { id, model, now: Date.now(), request: body.json, stream: body.stream };
}
