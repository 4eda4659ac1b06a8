import type { LlmChunk } from '../../plugin-api/llm.ts';
import { isObject, type JsonObject, objectsIn } from '../json-value.ts';
import { DONE, parseEvents } from '../sse.ts';
import { wantsUsage } from '../surface/chat.ts';
import type { Assembler, StreamShape } from '../surface/surface.ts';

/** Between the texts of two rounds, which would else run into each other. */
const BREAK = '\n\n';

/**
 * The streams of all rounds as the one that a client sees: what the model says comes as it is said, in every round; the
 * calls of the gateway's tools do not; role, finish and usage come once, and all chunks have one id. What is to be JSON
 * waits for the last round: a text before it would spoil it.
 */
export class ShownStream {
  readonly #shape: StreamShape;
  readonly #own: ReadonlySet<string>;
  readonly #wantsUsage: boolean;
  /** The chunks of the round, when they have to wait for its end; else `null`. */
  #held: LlmChunk[] | null;
  #assembler: Assembler;
  #place: Pick<JsonObject, 'id' | 'created'> | null = null;
  #finish: LlmChunk | null = null;
  #hasRole = false;
  #hasText = false;
  #hasTextOfRound = false;
  #isBroken = false;
  /** The place of a call among those that the client sees, by its index; `null`: it does not see it. */
  readonly #calls = new Map<unknown, number | null>();
  #shownCalls = 0;

  /** @param own the names of the client's own tools, whose calls it sees */
  constructor(shape: StreamShape, request: JsonObject, own: ReadonlySet<string>) {
    this.#shape = shape;
    this.#own = own;
    this.#wantsUsage = wantsUsage(request);
    this.#held = asksForJson(request) ? [] : null;
    this.#assembler = shape.assembler();
  }

  /** A round's stream begins. */
  begin(): void {
    this.#assembler = this.#shape.assembler();
    this.#finish = null;
    this.#hasTextOfRound = false;
    this.#calls.clear();
    if (this.#held !== null) this.#held = [];
  }

  /** Takes whole events of the round's stream; returns what the client sees of them, `null` for nothing. */
  take(events: Buffer): Buffer | null {
    const shown: Buffer[] = [];
    for (const { data, raw } of parseEvents(events)) {
      if (data === null) shown.push(raw);
      else if (data !== DONE) shown.push(...this.#encode(this.#read(parse(data))));
    }
    return shown.length === 0 ? null : Buffer.concat(shown);
  }

  /** The round's answer in one piece; `null` when its stream has said that it failed, as the client has seen. */
  said(): JsonObject | null {
    return this.#isBroken ? null : this.#assembler.whole();
  }

  /** What is left to be shown in the end. `answer` has the finish and the usage. */
  end(answer: JsonObject): Buffer {
    const held = (this.#held ?? []).flatMap((chunk) => this.#show(chunk));
    const { terminator } = this.#shape.framing;
    const last = this.#encode([...held, ...this.#lastChunks(answer)]);
    return Buffer.concat(terminator === null ? last : [...last, terminator]);
  }

  #read(chunk: LlmChunk): LlmChunk[] {
    if (isObject(chunk.error)) {
      this.#isBroken = true;
      return [chunk];
    }
    this.#assembler.add(chunk);
    if (this.#held === null) return this.#show(chunk);
    this.#held.push(chunk);
    return [];
  }

  #show(chunk: LlmChunk): LlmChunk[] {
    const { usage, ...rest } = chunk;
    const [choice] = objectsIn(chunk.choices);
    // Of Azure's filters, for one. The usage is that of the round alone.
    if (choice === undefined) return isObject(usage) ? [] : [this.#placed(rest)];
    this.#place ??= { id: chunk.id, created: chunk.created };
    if (choice.finish_reason != null) this.#finish = rest;
    const delta = this.#newsIn(isObject(choice.delta) ? choice.delta : {});
    if (delta === null) return [];
    const shown = this.#placed({ ...rest, choices: [{ ...choice, delta, finish_reason: null }] });
    return this.#isBreak(delta) ? [this.#breakBefore(shown), shown] : [shown];
  }

  /** What a delta tells the client; `null` when it tells nothing, as the head of a round does. */
  #newsIn({ role: _role, tool_calls, ...said }: JsonObject): JsonObject | null {
    const calls = objectsIn(tool_calls).flatMap((call) => this.#ownCall(call));
    const isNews = calls.length > 0 || Object.values(said).some((value) => value != null && value !== '');
    if (!isNews) return null;
    return { ...this.#role(), ...said, ...(calls.length === 0 ? {} : { tool_calls: calls }) };
  }

  #ownCall({ index, ...call }: JsonObject): JsonObject[] {
    const known = index === undefined ? undefined : this.#calls.get(index);
    const place = known === undefined ? this.#placeOfCall(call) : known;
    this.#calls.set(index, place);
    return place === null ? [] : [{ index: place, ...call }];
  }

  #placeOfCall({ function: called }: JsonObject): number | null {
    const isOwn = isObject(called) && typeof called.name === 'string' && this.#own.has(called.name);
    return isOwn ? this.#shownCalls++ : null;
  }

  #role(): JsonObject {
    if (this.#hasRole) return {};
    this.#hasRole = true;
    return { role: 'assistant' };
  }

  /** True for the first text of a round when there has been one of another round. */
  #isBreak({ content }: JsonObject): boolean {
    if (typeof content !== 'string' || content === '') return false;
    const isBreak = this.#hasText && !this.#hasTextOfRound;
    this.#hasText = true;
    this.#hasTextOfRound = true;
    return isBreak;
  }

  #breakBefore(chunk: LlmChunk): LlmChunk {
    return { ...chunk, choices: [{ index: 0, delta: { content: BREAK }, finish_reason: null }] };
  }

  #lastChunks({ choices, usage }: JsonObject): LlmChunk[] {
    const chunks: LlmChunk[] = [];
    const last = this.#finish;
    if (last !== null) {
      const [choice] = objectsIn(last.choices);
      const finish_reason = objectsIn(choices)[0]?.finish_reason;
      chunks.push(this.#placed({ ...last, choices: [{ ...choice, delta: this.#role(), finish_reason }] }));
    }
    if (last !== null && this.#wantsUsage && isObject(usage)) {
      chunks.push(this.#placed({ ...last, choices: [], usage }));
    }
    return chunks;
  }

  #placed(chunk: LlmChunk): LlmChunk {
    return { ...chunk, ...this.#place };
  }

  #encode(chunks: readonly LlmChunk[]): Buffer[] {
    return chunks.map((chunk) => this.#shape.framing.encode(chunk));
  }
}

function asksForJson({ response_format: format }: JsonObject): boolean {
  return isObject(format) && format.type !== 'text';
}

/** Only whole events with JSON in them come here. */
function parse(data: string): LlmChunk {
  const value: unknown = JSON.parse(data);
  return isObject(value) ? value : {};
}
