import type { OutgoingHttpHeaders } from 'node:http';
import { AnswerStage, parseChunk } from './answer/answer-stage.ts';
import { hookWhole, judgeWhole, toLlmResponse } from './answer/whole-answer.ts';
import type { Call } from './call.ts';
import type { EventQueue } from './event-queue.ts';
import type { JsonObject } from './json-value.ts';
import { DONE, parseEvents, type SseEvent } from './sse.ts';
import type { StreamShape } from './surface/surface.ts';
import { usageOf } from './surface/usage.ts';
import { unusable } from './upstream/failure.ts';
import { toClientHeaders } from './upstream/headers.ts';
import type { JsonAnswer } from './upstream/json-answer.ts';
import type { WholeAnswer } from './upstream/outcome.ts';

/** An answer that is complete in memory, in the form that the client asked for, through all hooks and evaluators. */
export async function deliverWhole(call: Call, whole: WholeAnswer): Promise<void> {
  const headers = toClientHeaders(whole.headers);
  const stream = streamOf(call);
  if (stream !== null)
    await deliverEvents(call, stream, whole.status, headers, eventsOf(call, stream, whole));
  else if (whole.kind === 'json')
    await deliverJson(call, whole.status, headers, read(call, whole), whole.body);
  else {
    // The upstream streamed although nobody asked for it.
    delete headers['content-type'];
    await deliverJson(call, whole.status, headers, assemble(call, whole), null);
  }
}

/** A whole answer that nobody has to read: its bytes go to the client as they came. */
export function deliverUnread(call: Call, whole: JsonAnswer): void {
  call.answer.json(whole.status, toClientHeaders(whole.headers), whole.body, whole.latin1);
  call.usage = usageOf(whole.usage());
}

/** Whether a whole answer can be passed on as it is. */
export function isUnread({ llm, stream, surface }: Call): boolean {
  const isTurned = stream && surface.stream !== null;
  return (
    !isTurned &&
    llm.onChunk === null &&
    llm.onResponse === null &&
    llm.evaluateOutput === null &&
    llm.observeOutput === null
  );
}

/** The answer that an `onRequest` hook gave in place of an upstream. Whatever leaves the gateway is judged. */
export async function deliverHookAnswer(call: Call, body: JsonObject): Promise<void> {
  const stream = streamOf(call);
  if (stream !== null) await deliverEvents(call, stream, 200, {}, replay(call, stream, body));
  else await deliverJudged(call, 200, {}, await hooked(call, body), null);
}

/** A stream with hooks and evaluators on its events, each sent on as soon as they are done with it. */
export async function deliverStream(call: Call, stream: StreamShape, queue: EventQueue): Promise<void> {
  const { answer, llm } = call;
  const stage = new AnswerStage(call, stream);
  let isOpen = false;
  const open = (): void => {
    if (!isOpen) answer.openStream(queue.status, toClientHeaders(queue.headers), stream.framing);
    isOpen = true;
  };
  // A refusal can still be an answer of its own while nothing has been sent.
  if (llm.evaluateOutput === null) open();
  for (let reads = await queue.take(); reads !== null; reads = await queue.take()) {
    try {
      await stage.feed(reads.flatMap(parseEvents));
    } finally {
      const out = stage.take();
      if (out !== null) {
        open();
        await answer.send(out);
      }
    }
    if (answer.gone) return;
  }
  if (answer.gone) return;
  await stage.finish();
  open();
  answer.end(withTerminator(stream, stage.take()));
}

async function deliverEvents(
  call: Call,
  stream: StreamShape,
  status: number,
  headers: OutgoingHttpHeaders,
  events: readonly SseEvent[],
): Promise<void> {
  const stage = new AnswerStage(call, stream);
  await stage.feed(events);
  // Nothing has left the gateway so far: a block evaluator that refuses here has refused it all.
  await stage.finish();
  call.answer.openStream(status, headers, stream.framing);
  call.answer.end(withTerminator(stream, stage.take()));
}

async function deliverJson(
  call: Call,
  status: number,
  headers: OutgoingHttpHeaders,
  json: JsonObject,
  bytes: Buffer | null,
): Promise<void> {
  const { onResponse } = call.llm;
  const before = await hooked(call, json);
  const body =
    onResponse === null
      ? before
      : (await onResponse(call.request, toLlmResponse(call, before), call.scope)).body;
  await deliverJudged(call, status, headers, body, body === json ? bytes : null);
}

async function hooked(call: Call, json: JsonObject): Promise<JsonObject> {
  const { onChunk } = call.llm;
  return onChunk === null ? json : hookWhole(call, onChunk, json);
}

/** @param bytes those of `body`, `null` when they are yet to be made */
async function deliverJudged(
  call: Call,
  status: number,
  headers: OutgoingHttpHeaders,
  body: JsonObject,
  bytes: Buffer | null,
): Promise<void> {
  const { evaluateOutput, observeOutput } = call.llm;
  call.usage = usageOf(body);
  const judged = evaluateOutput === null ? body : await judgeWhole(call, evaluateOutput, body);
  const isSame = judged === body && bytes !== null;
  call.answer.json(status, headers, isSame ? bytes : Buffer.from(JSON.stringify(judged)));
  observeOutput?.(call.request, toLlmResponse(call, body), call.scope);
}

function withTerminator({ framing }: StreamShape, events: Buffer | null): Buffer {
  const parts = [events, framing.terminator].filter((part) => part !== null);
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** How the answer is streamed, `null` when the client wants it in one piece. */
function streamOf(call: Call): StreamShape | null {
  return call.stream ? call.surface.stream : null;
}

function eventsOf(call: Call, stream: StreamShape, whole: WholeAnswer): readonly SseEvent[] {
  return whole.kind === 'json' ? replay(call, stream, read(call, whole)) : parseEvents(whole.body);
}

function read(call: Call, whole: JsonAnswer): JsonObject {
  const json = whole.parse();
  if (json === null)
    throw unusable(call.answer.deployment, 'answered with something that is no JSON', whole.status);
  return json;
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
    if (data !== null && data !== DONE) assembler.add(parseChunk(call.answer.deployment, data));
  }
  return assembler.whole();
}
