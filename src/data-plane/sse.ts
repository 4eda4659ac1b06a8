/** One event of an SSE stream (WHATWG HTML, section 9.2 "Server-sent events"). */
export interface SseEvent {
  /** The `data` lines joined by line feeds; `null` when the event has none, as a comment. */
  readonly data: string | null;
  /** The event as it came, with the blank line that ends it. */
  readonly raw: Buffer;
}

const LF = 0x0a;
const CR = 0x0d;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;

/** The data of the event that ends an OpenAI stream. Without it a stream is a truncated answer. */
export const DONE = '[DONE]';

/** The event that ends an OpenAI stream. */
export const DONE_EVENT: Buffer = Buffer.from(`data: ${DONE}\n\n`);

/** More bytes than that without the end of an event are an attack or a fault. */
export const MAX_EVENT_BYTES: number = 4 * 1024 * 1024;

/** An event that carries a JSON value. */
export function encodeEvent(value: unknown): Buffer {
  return Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
}

/**
 * Cuts a stream of bytes at the ends of events, so that a client never sees half an event. The common chunk ends with
 * an event and comes back as it is; what stands behind the last end is kept for the next call.
 */
export class EventCutter {
  #pending: Buffer | null = null;

  /** All whole events so far that were not returned yet, `null` when there are none. */
  push(chunk: Buffer): Buffer | null {
    const bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    const searched = this.#pending === null ? 0 : Math.max(0, this.#pending.length - 3);
    const end = endOfLastEvent(bytes, searched);
    if (end === bytes.length) {
      this.#pending = null;
      return bytes;
    }
    // A copy: the rest of a large chunk must not keep all of it alive.
    this.#pending = end === 0 && bytes !== chunk ? bytes : Buffer.from(bytes.subarray(end));
    return end === 0 ? null : bytes.subarray(0, end);
  }

  /** Bytes that wait for the end of their event. */
  get pendingBytes(): number {
    return this.#pending === null ? 0 : this.#pending.length;
  }

  /** What is left at the end of the stream, `null` when it ended with an event. */
  rest(): Buffer | null {
    return this.#pending;
  }
}

/** True when the last event in `events` is `data: [DONE]`. `events` begins with an event. */
export function endsWithDone(events: Buffer): boolean {
  let end = events.length;
  while (end > 0 && isBlank(events[end - 1] as number)) end--;
  // Nearly every event ends with a brace: one comparison and done.
  if (events[end - 1] !== CLOSE_BRACKET) return false;
  let start = end;
  while (start > 0 && events[start - 1] !== LF && events[start - 1] !== CR) start--;
  return lineData(events.toString('utf8', start, end)) === DONE;
}

/** The events in `bytes`, which holds whole events only (see {@link EventCutter}). */
export function parseEvents(bytes: Buffer): SseEvent[] {
  const events: SseEvent[] = [];
  let start = 0;
  let data: string | null = null;
  for (let at = 0; at < bytes.length; ) {
    const end = endOfLine(bytes, at);
    const next = afterBreak(bytes, end);
    if (end === at) {
      if (start < at) events.push({ data, raw: bytes.subarray(start, next) });
      start = next;
      data = null;
    } else {
      const value = lineData(bytes.toString('utf8', at, end));
      if (value !== null) data = data === null ? value : `${data}\n${value}`;
    }
    at = next;
  }
  return events;
}

function endOfLastEvent(bytes: Buffer, from: number): number {
  for (let end = bytes.length; end > from + 1; end--) {
    const byte = bytes[end - 1] as number;
    if ((byte === LF || byte === CR) && endsEvent(bytes, end)) return end;
  }
  return 0;
}

/** True when the line break before `end` ends a blank line: LF LF, CR CR, or CR LF CR LF. */
function endsEvent(bytes: Buffer, end: number): boolean {
  const last = bytes[end - 1];
  const before = bytes[end - 2];
  if (last === CR) return before === CR || before === LF;
  if (before === LF) return true;
  return before === CR && (bytes[end - 3] === LF || bytes[end - 3] === CR);
}

function endOfLine(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && bytes[at] !== LF && bytes[at] !== CR) at++;
  return at;
}

function afterBreak(bytes: Buffer, end: number): number {
  return bytes[end] === CR && bytes[end + 1] === LF ? end + 2 : end + 1;
}

/** The value of a `data` line, `null` for any other line. */
function lineData(line: string): string | null {
  if (line === 'data') return '';
  if (!line.startsWith('data') || line.charCodeAt(4) !== COLON) return null;
  return line.startsWith(' ', 5) ? line.slice(6) : line.slice(5);
}

function isBlank(byte: number): boolean {
  return byte === LF || byte === CR || byte === 0x20;
}
