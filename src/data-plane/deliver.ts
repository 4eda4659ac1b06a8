import type { OutgoingHttpHeaders } from 'node:http';
import type { LlmChunk } from '../plugin-api/llm.ts';
import type { Call } from './call.ts';
import { CompletionAssembler, isObject, toChunks, toLlmResponse, usageOf, wantsUsage } from './completion.ts';
import type { EventQueue } from './event-queue.ts';
import { DONE, DONE_EVENT, encodeEvent, parseEvents, type SseEvent } from './sse.ts';
import type { WholeAnswer } from './upstream/attempt.ts';
import { unusable } from './upstream/failure.ts';
import { toClientHeaders } from './upstream/headers.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** An answer that is complete in memory, in the form that the client asked for, through all hooks and evaluators. */
export async function deliverWhole(call: Call, whole: WholeAnswer): Promise<void> {
  const headers = toClientHeaders(whole.headers);
  if (call.stream) await deliverEvents(call, whole.status, headers, eventsOf(call, whole));
  else if (whole.kind === 'json') await deliverJson(call, whole.status, headers, whole.json, whole.body);
  else {
    // The upstream streamed although nobody asked for it.
    delete headers['content-type'];
    await deliverJson(call, whole.status, headers, assemble(call, whole), null);
  }
}

/** The answer that an `onRequest` hook gave in place of an upstream. Whatever leaves the gateway is judged. */
export async function deliverHookAnswer(call: Call, body: JsonObject): Promise<void> {
  const { llm } = call.pipeline;
  if (call.stream) {
    await deliverEvents(call, 200, {}, replay(call, body));
    return;
  }
  if (llm.evaluateOutput !== null || llm.observeOutput !== null) await judge(call, body);
  call.usage = usageOf(body);
  call.answer.json(200, {}, Buffer.from(JSON.stringify(body)));
}

/** A stream with hooks on its events, each sent on as soon as they are done with it. */
export async function deliverStream(call: Call, queue: EventQueue): Promise<void> {
  const stage = new ChunkStage(call);
  call.answer.openStream(queue.status, toClientHeaders(queue.headers));
  for await (const events of queue) {
    for (const event of parseEvents(events)) {
      const out = await stage.pass(event);
      if (out !== null) await call.answer.send(out);
      if (call.answer.gone) return;
    }
  }
  if (call.answer.gone) return;
  await stage.finish();
  call.answer.end(DONE_EVENT);
}

async function deliverEvents(
  call: Call,
  status: number,
  headers: OutgoingHttpHeaders,
  events: readonly SseEvent[],
): Promise<void> {
  const stage = new ChunkStage(call);
  const passed: Buffer[] = [];
  for (const event of events) {
    const out = await stage.pass(event);
    if (out !== null) passed.push(out);
  }
  // Nothing has left the gateway so far: a block evaluator that refuses here has refused it all.
  await stage.finish();
  call.answer.openStream(status, headers);
  for (const out of passed) await call.answer.send(out);
  call.answer.end(DONE_EVENT);
}

async function deliverJson(
  call: Call,
  status: number,
  headers: OutgoingHttpHeaders,
  json: JsonObject,
  bytes: Buffer | null,
): Promise<void> {
  if (call.pipeline.export !== null) call.usage = usageOf(json);
  const body = await passResponse(call, json);
  const unchanged = body === json && bytes !== null;
  call.answer.json(status, headers, unchanged ? bytes : Buffer.from(JSON.stringify(body)));
}

/** `onResponse`, then the evaluators. Resolves to the body to answer with. */
async function passResponse(call: Call, json: JsonObject): Promise<JsonObject> {
  const { onResponse, evaluateOutput, observeOutput } = call.pipeline.llm;
  if (onResponse === null && evaluateOutput === null && observeOutput === null) return json;
  const before = toLlmResponse(json);
  const { body } = onResponse === null ? before : await onResponse(call.request, before);
  if (evaluateOutput !== null || observeOutput !== null) await judge(call, body);
  return body;
}

async function judge(call: Call, body: JsonObject): Promise<void> {
  const { evaluateOutput, observeOutput } = call.pipeline.llm;
  const response = toLlmResponse(body);
  if (evaluateOutput !== null) await evaluateOutput(call.request, response);
  observeOutput?.(call.request, response);
}

/** The hooks on the events of one stream. */
class ChunkStage {
  readonly #call: Call;
  readonly #assembler: CompletionAssembler | null;

  constructor(call: Call) {
    const { onResponse, evaluateOutput, observeOutput } = call.pipeline.llm;
    const nobodyReads = onResponse === null && evaluateOutput === null && observeOutput === null;
    this.#call = call;
    this.#assembler = nobodyReads ? null : new CompletionAssembler();
  }

  /** The bytes to send for an event, `null` for none. `[DONE]` is the business of whoever ends the stream. */
  async pass(event: SseEvent): Promise<Buffer | null> {
    if (event.data === null) return event.raw;
    if (event.data === DONE) return null;
    const { onChunk } = this.#call.pipeline.llm;
    const chunk = parseChunk(this.#call, event.data);
    const next = onChunk === null ? chunk : await onChunk(this.#call.request, chunk);
    if (next === null) return null;
    this.#call.usage = usageOf(next) ?? this.#call.usage;
    this.#assembler?.add(next);
    return next === chunk ? event.raw : encodeEvent(next);
  }

  /** The whole answer goes to those who read it; a change of it comes too late for a stream. */
  async finish(): Promise<void> {
    if (this.#assembler !== null) await passResponse(this.#call, this.#assembler.completion());
  }
}

function eventsOf(call: Call, whole: WholeAnswer): readonly SseEvent[] {
  return whole.kind === 'json' ? replay(call, whole.json) : parseEvents(whole.body);
}

function replay(call: Call, body: JsonObject): readonly SseEvent[] {
  return toChunks(body, wantsUsage(call.body.json)).map((chunk) => ({
    data: JSON.stringify(chunk),
    raw: encodeEvent(chunk),
  }));
}

function assemble(call: Call, whole: WholeAnswer): JsonObject {
  const assembler = new CompletionAssembler();
  for (const { data } of parseEvents(whole.body)) {
    if (data !== null && data !== DONE) assembler.add(parseChunk(call, data));
  }
  return assembler.completion();
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
