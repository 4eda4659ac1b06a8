import { deepFreeze } from '../../freeze.ts';
import type { LlmPhases } from '../../pipeline/types.ts';
import type { LlmResponse } from '../../plugin-api/llm.ts';
import type { Call } from '../call.ts';
import type { JsonObject } from '../json-value.ts';
import { usageOf } from '../surface/usage.ts';
import { ChunkHooks } from './chunk-hooks.ts';
import { asHooked, asSent, toEntry } from './entry.ts';
import { Parts } from './parts.ts';

/** The `onChunk` hooks on an answer that is not streamed: they see the same events, once, with the whole texts. */
export async function hookWhole(
  call: Call,
  onChunk: NonNullable<LlmPhases['onChunk']>,
  body: JsonObject,
): Promise<JsonObject> {
  const parts = new Parts();
  const entry = toEntry(body, call.surface.read(body), parts, true);
  await new ChunkHooks(onChunk, call, parts).apply(entry, usageOf(body));
  parts.dropHeld(null);
  return asHooked(entry);
}

/** The `block` evaluators on a whole answer. Resolves to the answer with their masks. */
export async function judgeWhole(
  call: Call,
  evaluateOutput: NonNullable<LlmPhases['evaluateOutput']>,
  body: JsonObject,
): Promise<JsonObject> {
  const parts = new Parts();
  const entry = toEntry(body, call.surface.read(body), parts, true);
  for (const piece of entry.pieces) piece.settle(piece.slot.text);
  const joined = parts.joined();
  const spans = await evaluateOutput(call.request, toResponse(body, joined.text), call.scope);
  if (spans === undefined || spans.length === 0) return body;
  for (const [part, masks] of joined.split(spans)) part.masks.update(masks, 0);
  return asSent(entry) ?? body;
}

/** A whole answer as hooks and evaluators see it. */
export function toLlmResponse({ surface }: Call, body: JsonObject): LlmResponse {
  const parts = new Parts();
  for (const slot of surface.read(body).texts) parts.pieceOf(slot)?.settle(slot.text);
  return toResponse(body, parts.joined().text);
}

function toResponse(body: JsonObject, text: string): LlmResponse {
  return Object.freeze({ body: deepFreeze(body), text, final: true, usage: usageOf(body) });
}
