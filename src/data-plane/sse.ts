/** One event of an SSE stream (WHATWG HTML, section 9.2 "Server-sent events"). */
export interface SseEvent {
  /** The `data` lines joined by line feeds; `null` when the event has none, as a comment. */
  readonly data: string | null;
  /** The event as it came, with the blank line that ends it. */
  readonly raw: Buffer;
}

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const LETTER_D = 0x64;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;

/** The data of the event that ends an OpenAI stream. Without it a stream is a truncated answer. */
export const DONE = '[DONE]';

/** The event that ends an OpenAI stream. */
export const DONE_EVENT: Buffer = Buffer.from(`data: ${DONE}\n\n`);

/** More bytes than that without the end of an event are an attack or a fault. The largest events carry an image. */
export const MAX_EVENT_BYTES: number = 16 * 1024 * 1024;

/** How far before the end of an event its beginning may be seen: CR LF CR LF has four bytes. */
const LOOK_BEHIND = 3;

/** An event that carries a JSON value. */
export function encodeEvent(value: unknown): Buffer {
  return Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
}

/**
 * Cuts a stream of bytes at the ends of events, so that a client never sees half an event. The common chunk ends with
 * an event and comes back as it is; what stands behind the last end is kept for the next call.
 */
export class EventCutter {
  /** Joined when their event ends: joining at every chunk would cost the square of its length. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  /** All whole events so far that were not returned yet, `null` when there are none. */
  push(chunk: Buffer): Buffer | null {
    const before = this.#lastPending();
    const searched = before === null ? chunk : Buffer.concat([before, chunk]);
    const end = endOfLastEvent(searched) - (before?.length ?? 0);
    if (end <= 0) {
      this.#keep(chunk);
      return null;
    }
    const events = this.#takeWith(end === chunk.length ? chunk : chunk.subarray(0, end));
    if (end < chunk.length) this.#keep(chunk.subarray(end));
    return events;
  }

  /** Bytes that wait for the end of their event. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** What is left at the end of the stream, `null` when it ended with an event. */
  rest(): Buffer | null {
    return this.#pendingBytes === 0 ? null : Buffer.concat(this.#pending);
  }

  /** A copy: the rest of a large chunk must not keep all of it alive. */
  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pending.push(Buffer.from(bytes));
    this.#pendingBytes += bytes.length;
  }

  #takeWith(bytes: Buffer): Buffer {
    if (this.#pendingBytes === 0) return bytes;
    const all = Buffer.concat([...this.#pending, bytes]);
    this.#pending = [];
    this.#pendingBytes = 0;
    return all;
  }

  /** The last bytes that wait, as far as the end of their event may be seen in them. */
  #lastPending(): Buffer | null {
    if (this.#pendingBytes === 0) return null;
    const pieces: Buffer[] = [];
    let missing = LOOK_BEHIND;
    for (let at = this.#pending.length - 1; at >= 0 && missing > 0; at--) {
      const piece = (this.#pending[at] as Buffer).subarray(-missing);
      pieces.unshift(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces);
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
  // Nearly every upstream ends its lines with line feeds alone: they are found by a native search.
  const hasReturns = bytes.includes(CR);
  let start = 0;
  let data: string | null = null;
  for (let at = 0; at < bytes.length; ) {
    const end = hasReturns ? endOfLine(bytes, at) : endOfFedLine(bytes, at);
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

/**
 * Where the first event in `bytes` (whole events only) begins whose data is neither JSON nor `[DONE]`; -1 when there is
 * none. Runs on every read of a relayed stream: a line that begins and ends as a JSON object is taken for one, and only
 * another one is parsed.
 */
export function brokenDataAt(bytes: Buffer): number {
  for (let at = 0; at < bytes.length; ) {
    const found = bytes.indexOf(LF, at);
    const end = found === -1 ? bytes.length : found;
    if (bytes[at] === LETTER_D && !looksLikeJson(bytes, at, end)) return firstBroken(bytes);
    at = end + 1;
  }
  return -1;
}

/**
 * The data of the last event that has `text` in it, `null` when none has. A search from the end: nothing is made of the
 * events before.
 */
export function lastDataWith(text: string, bytes: Buffer): string | null {
  const found = bytes.lastIndexOf(text);
  if (found === -1) return null;
  const start = Math.max(bytes.lastIndexOf('\n\n', found), bytes.lastIndexOf('\r\n\r\n', found), 0);
  return parseEvents(bytes.subarray(start)).find(({ data }) => data?.includes(text) === true)?.data ?? null;
}

/** `data: {"…}` */
function looksLikeJson(bytes: Buffer, start: number, end: number): boolean {
  const brace = bytes[start + 5] === SPACE ? start + 6 : start + 5;
  const last = bytes[end - 1] === CR ? end - 2 : end - 1;
  return bytes[brace] === OPEN_BRACE && bytes[brace + 1] === QUOTE && bytes[last] === CLOSE_BRACE;
}

function firstBroken(bytes: Buffer): number {
  const broken = parseEvents(bytes).find(isBroken);
  return broken === undefined ? -1 : broken.raw.byteOffset - bytes.byteOffset;
}

function isBroken({ data }: SseEvent): boolean {
  if (data === null || data === DONE) return false;
  try {
    JSON.parse(data);
    return false;
  } catch {
    return true;
  }
}

function endOfLastEvent(bytes: Buffer): number {
  for (let end = bytes.length; end > 1; end--) {
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

function endOfFedLine(bytes: Buffer, from: number): number {
  const end = bytes.indexOf(LF, from);
  return end === -1 ? bytes.length : end;
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
