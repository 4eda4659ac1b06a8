import type { LlmChunk, LlmUsage } from '../../plugin-api/llm.ts';
import type { Call } from '../call.ts';
import { isObject } from '../json-value.ts';
import { DONE, type SseEvent } from '../sse.ts';
import type { StreamShape } from '../surface/surface.ts';
import { unusable } from '../upstream/failure.ts';
import { Assembled, StreamedResponse } from './assembled.ts';
import { ChunkHooks } from './chunk-hooks.ts';
import { type Entry, toEntry } from './entry.ts';
import { EventLine } from './event-line.ts';
import { Parts } from './parts.ts';

/** Bytes of a stream that hooks and evaluators work on. */
const MAX_WHOLE_BYTES = 64 * 1024 * 1024;

/** The hooks and evaluators on one stream: events go in, and come out as far as everybody has agreed. */
export class AnswerStage {
  readonly #call: Call;
  readonly #stream: StreamShape;
  readonly #parts = new Parts();
  readonly #hooks: ChunkHooks | null;
  readonly #assembled: Assembled | null;
  readonly #line: EventLine;
  /** What the event that ends the stream has said, `null` before it. */
  #end: 'complete' | 'failed' | null = null;
  #isOver = false;
  #bytes = 0;

  constructor(call: Call, stream: StreamShape) {
    const { onChunk, onResponse, evaluateOutput, observeOutput, outputWindow } = call.llm;
    const isRead = onResponse !== null || evaluateOutput !== null || observeOutput !== null;
    this.#call = call;
    this.#stream = stream;
    this.#hooks = onChunk === null ? null : new ChunkHooks(onChunk, call, this.#parts);
    this.#assembled = isRead ? new Assembled(stream.assembler()) : null;
    const window = evaluateOutput === null ? null : outputWindow;
    this.#line = new EventLine(this.#parts, stream.framing, this.#assembled, window);
  }

  /** Takes the events of one read: hooks see each, evaluators all of them together. */
  async feed(events: readonly SseEvent[]): Promise<void> {
    for (const event of events) {
      this.#count(event.raw);
      if (event.data === null) this.#line.push(event.raw, null);
      else if (event.data !== DONE) {
        // Without hooks there is nothing to wait for, and no promise for each event.
        const hooked = this.#event(event.raw, parseChunk(this.#call.answer.deployment, event.data));
        if (hooked !== null) await hooked;
      }
    }
    // Behind the end comes the judgement of the whole.
    if (this.#end === null && this.#line.isJudgementDue()) await this.#judge(false);
  }

  /** The answer is complete: everybody gets to see the whole of it. What is left may leave if nobody refuses. */
  async finish(): Promise<void> {
    const { onResponse, evaluateOutput, observeOutput } = this.#call.llm;
    this.#parts.dropHeld(null);
    this.#line.settle();
    if (this.#assembled !== null) {
      // Half an answer is none: nobody is to judge it as if it were.
      if (this.#end === 'failed') this.#assembled.whole();
      const { text } = this.#parts.joined();
      const response = new StreamedResponse(text, true, this.#call.usage, this.#assembled);
      // A change of the whole comes too late for a stream.
      if (onResponse !== null) await onResponse(this.#call.request, response, this.#call.scope);
      if (evaluateOutput !== null) await this.#judge(true);
      observeOutput?.(this.#call.request, response, this.#call.scope);
    }
    this.#isOver = true;
  }

  /** What may leave, `null` when there is nothing. */
  take(): Buffer | null {
    const events = this.#line.release(this.#isOver);
    return events.length === 0 ? null : joinEvents(events);
  }

  /** The texts of an answer stay in memory while it is read. */
  #count(raw: Buffer): void {
    this.#bytes += raw.length;
    if (this.#bytes > MAX_WHOLE_BYTES)
      throw unusable(this.#call.answer.deployment, 'sent an answer that is too large', null);
  }

  #event(raw: Buffer, chunk: LlmChunk): Promise<void> | null {
    const { framing } = this.#stream;
    const entry = toEntry(chunk, this.#stream.read(chunk), this.#parts, framing.isLast(chunk));
    const before = this.#call.usage;
    const usage = this.#stream.usageOf(chunk, before);
    this.#call.usage = usage;
    if (this.#hooks !== null) return this.#hook(this.#hooks, raw, entry, usage === before ? null : usage);
    for (const piece of entry.pieces) if (!piece.isRepeat) piece.settle(piece.slot.text);
    this.#push(raw, entry);
    return null;
  }

  async #hook(hooks: ChunkHooks, raw: Buffer, entry: Entry, usage: LlmUsage | null): Promise<void> {
    await hooks.apply(entry, usage);
    this.#push(raw, entry);
  }

  #push(raw: Buffer, entry: Entry): void {
    const { error, finishes } = entry.reading;
    for (const { choice } of finishes) this.#parts.finish(choice);
    if (entry.isLast) this.#end = error === null ? 'complete' : 'failed';
    this.#line.push(raw, entry);
  }

  async #judge(final: boolean): Promise<void> {
    const joined = this.#parts.joined();
    const response = new StreamedResponse(joined.text, final, this.#call.usage, this.#assembled as Assembled);
    const spans = await this.#call.llm.evaluateOutput?.(this.#call.request, response, this.#call.scope);
    for (const [part, masks] of joined.split(spans ?? [])) part.masks.update(masks, part.left);
    this.#parts.markJudged();
  }
}

/** One buffer of all. Events that nobody has changed lie beside each other in the read that they came with. */
function joinEvents(events: readonly Buffer[]): Buffer {
  const [first] = events as [Buffer];
  let end = first.byteOffset;
  for (const event of events) {
    if (event.buffer !== first.buffer || event.byteOffset !== end) return Buffer.concat(events);
    end += event.length;
  }
  return Buffer.from(first.buffer, first.byteOffset, end - first.byteOffset);
}

/**
 * The JSON of an event. What no hook can read must not pass by it.
 *
 * @throws UpstreamFailure `upstream_error`
 */
export function parseChunk(deployment: string, data: string): LlmChunk {
  try {
    const value: unknown = JSON.parse(data);
    if (isObject(value)) return value;
  } catch (error) {
    throw unusable(deployment, 'sent an event that is no JSON', null, error as Error);
  }
  throw unusable(deployment, 'sent an event that is no JSON object', null);
}
