import { isGatewayError } from '../../errors.ts';
import type { LlmResponse } from '../../plugin-api/llm.ts';
import type { Call } from '../call.ts';
import { DONE, parseEvents } from '../sse.ts';
import type { StreamShape } from '../surface/surface.ts';
import { UpstreamFailure } from '../upstream/failure.ts';
import { parseChunk } from './answer-stage.ts';
import { Assembled, StreamedResponse } from './assembled.ts';
import { Parts } from './parts.ts';

/** A streamed answer that the client has had already; `null` when it is none: it ended with an error, or is no JSON. */
export function toObserved(call: Call, stream: StreamShape, reads: readonly Buffer[]): LlmResponse | null {
  const parts = new Parts();
  const assembled = new Assembled(stream.assembler());
  let usage = call.usage;
  try {
    for (const { data } of reads.flatMap(parseEvents)) {
      if (data === null || data === DONE) continue;
      const chunk = parseChunk(call.answer.deployment, data);
      for (const slot of stream.read(chunk).texts) {
        const piece = parts.pieceOf(slot);
        if (piece?.isRepeat === false) piece.settle(slot.text);
      }
      usage = stream.usageOf(chunk, usage);
      assembled.add(chunk);
    }
    assembled.whole();
  } catch (error) {
    if (error instanceof UpstreamFailure || isGatewayError(error)) return null;
    throw error;
  }
  return new StreamedResponse(parts.joined().text, true, usage, assembled);
}
