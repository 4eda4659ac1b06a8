import type { OutgoingHttpHeaders } from 'node:http';
import { GatewayError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import type { LlmChunk, LlmResponse } from '../plugin-api/llm.ts';
import type { Call } from './call.ts';
import type { EventQueue } from './event-queue.ts';
import { isObject, type JsonObject } from './json-value.ts';
import { DONE, parseEvents, type SseEvent } from './sse.ts';
import type { Assembler, StreamShape } from './surface/surface.ts';
import { usageOf } from './surface/usage.ts';
import { unusable } from './upstream/failure.ts';
import { toClientHeaders } from './upstream/headers.ts';
import type { WholeAnswer } from './upstream/outcome.ts';

/** An answer that is complete in memory, in the form that the client asked for, through all hooks and evaluators. */
export async function deliverWhole(call: Call, whole: WholeAnswer): Promise<void> {
  const headers = toClientHeaders(whole.headers);
  const stream = streamOf(call);
  if (stream !== null)
    await deliverEvents(call, stream, whole.status, headers, eventsOf(call, stream, whole));
  else if (whole.kind === 'json') await deliverJson(call, whole.status, headers, whole.json, whole.body);
  else {
    // The upstream streamed although nobody asked for it.
    delete headers['content-type'];
    await deliverJson(call, whole.status, headers, assemble(call, whole), null);
  }
}

/** The answer that an `onRequest` hook gave in place of an upstream. Whatever leaves the gateway is judged. */
export async function deliverHookAnswer(call: Call, body: JsonObject): Promise<void> {
  const { llm } = call;
  const stream = streamOf(call);
  if (stream !== null) {
    await deliverEvents(call, stream, 200, {}, replay(call, stream, body));
    return;
  }
  if (llm.evaluateOutput !== null || llm.observeOutput !== null) await judge(call, body);
  call.usage = usageOf(body);
  call.answer.json(200, {}, Buffer.from(JSON.stringify(body)));
}

/** A stream with hooks on its events, each sent on as soon as they are done with it. */
export async function deliverStream(call: Call, stream: StreamShape, queue: EventQueue): Promise<void> {
  const stage = new ChunkStage(call, stream);
  call.answer.openStream(queue.status, toClientHeaders(queue.headers), stream.framing);
  for await (const events of queue) {
    for (const event of parseEvents(events)) {
      const out = await stage.pass(event);
      if (out !== null) await call.answer.send(out);
      if (call.answer.gone) return;
    }
  }
  if (call.answer.gone) return;
  call.answer.end(await stage.finish());
}

async function deliverEvents(
  call: Call,
  stream: StreamShape,
  status: number,
  headers: OutgoingHttpHeaders,
  events: readonly SseEvent[],
): Promise<void> {
  const stage = new ChunkStage(call, stream);
  const passed: Buffer[] = [];
  for (const event of events) {
    const out = await stage.pass(event);
    if (out !== null) passed.push(out);
  }
  // Nothing has left the gateway so far: a block evaluator that refuses here has refused it all.
  const end = await stage.finish();
  call.answer.openStream(status, headers, stream.framing);
  for (const out of passed) await call.answer.send(out);
  call.answer.end(end);
}

async function deliverJson(
  call: Call,
  status: number,
  headers: OutgoingHttpHeaders,
  json: JsonObject,
  bytes: Buffer | null,
): Promise<void> {
  if (call.countsUsage) call.usage = usageOf(json);
  const body = await passResponse(call, json);
  const unchanged = body === json && bytes !== null;
  call.answer.json(status, headers, unchanged ? bytes : Buffer.from(JSON.stringify(body)));
}

/** `onResponse`, then the evaluators. Resolves to the body to answer with. */
async function passResponse(call: Call, json: JsonObject): Promise<JsonObject> {
  const { onResponse, evaluateOutput, observeOutput } = call.llm;
  if (onResponse === null && evaluateOutput === null && observeOutput === null) return json;
  const before = toLlmResponse(call, json);
  const { body } = onResponse === null ? before : await onResponse(call.request, before);
  if (evaluateOutput !== null || observeOutput !== null) await judge(call, body);
  return body;
}

function toLlmResponse({ surface }: Call, body: JsonObject): LlmResponse {
  return Object.freeze({ body: deepFreeze(body), text: surface.textOf(body), usage: usageOf(body) });
}

async function judge(call: Call, body: JsonObject): Promise<void> {
  const { evaluateOutput, observeOutput } = call.llm;
  const response = toLlmResponse(call, body);
  if (evaluateOutput !== null) await evaluateOutput(call.request, response);
  observeOutput?.(call.request, response);
}

/** The hooks on the events of one stream. */
class ChunkStage {
  readonly #call: Call;
  readonly #stream: StreamShape;
  readonly #assembler: Assembler | null;
  /** The event that ends the stream, held back until everybody has agreed to the whole. */
  #last: Buffer | null;

  constructor(call: Call, stream: StreamShape) {
    const { onResponse, evaluateOutput, observeOutput } = call.llm;
    const nobodyReads = onResponse === null && evaluateOutput === null && observeOutput === null;
    this.#call = call;
    this.#stream = stream;
    this.#last = stream.framing.terminator;
    this.#assembler = nobodyReads ? null : stream.assembler();
  }

  /** The bytes to send for an event, `null` for none. The last event of a stream is sent by whoever ends it. */
  async pass(event: SseEvent): Promise<Buffer | null> {
    if (event.data === null) return event.raw;
    if (event.data === DONE) return null;
    const { onChunk } = this.#call.llm;
    const chunk = parseChunk(this.#call, event.data);
    const next = onChunk === null ? chunk : await onChunk(this.#call.request, chunk);
    if (next === null) return null;
    this.#call.usage = this.#stream.usageOf(next, this.#call.usage);
    this.#assembler?.add(next);
    const bytes = next === chunk ? event.raw : this.#stream.framing.encode(next);
    if (!this.#stream.framing.isLast(chunk)) return bytes;
    this.#last = bytes;
    return null;
  }

  /**
   * The whole answer goes to those who read it; a change of it comes too late for a stream. Resolves to the event that
   * ends the stream.
   */
  async finish(): Promise<Buffer> {
    if (this.#last === null) {
      throw new GatewayError('plugin_error', 'A hook has dropped the event that ends the stream');
    }
    if (this.#assembler !== null) await passResponse(this.#call, this.#assembler.whole());
    return this.#last;
  }
}

/** How the answer is streamed, `null` when the client wants it in one piece. */
function streamOf(call: Call): StreamShape | null {
  return call.stream ? call.surface.stream : null;
}

function eventsOf(call: Call, stream: StreamShape, whole: WholeAnswer): readonly SseEvent[] {
  return whole.kind === 'json' ? replay(call, stream, whole.json) : parseEvents(whole.body);
}

function replay(call: Call, stream: StreamShape, body: JsonObject): readonly SseEvent[] {
  return stream.replay(body, call.body.json).map((chunk) => ({
    data: JSON.stringify(chunk),
    raw: stream.framing.encode(chunk),
  }));
}

/** The upstream streams only where its surface does. */
function assemble(call: Call, whole: WholeAnswer): JsonObject {
  const assembler = (call.surface.stream as StreamShape).assembler();
  for (const { data } of parseEvents(whole.body)) {
    if (data !== null && data !== DONE) assembler.add(parseChunk(call, data));
  }
  return assembler.whole();
}

/** What no hook can read must not pass by it. */
function parseChunk(call: Call, data: string): LlmChunk {
  try {
    const value: unknown = JSON.parse(data);
    if (isObject(value)) return value;
  } catch (error) {
    throw unusable(call.answer.deployment, 'sent an event that is no JSON', null, error as Error);
  }
  throw unusable(call.answer.deployment, 'sent an event that is no JSON object', null);
}
