import { randomFillSync } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { TraceContext } from '../plugin-api/trace.ts';
import { connectionOptions } from './headers.ts';

const SAMPLED = 0x01;
const RANDOM = 0x02;

/** W3C Trace Context, section 3.2.2. Later versions may say more behind a dash. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** Section 3.3.1.3, with the names of both editions: any of the permitted characters in any place. */
const STATE_MEMBER =
  /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const MAX_STATE_MEMBERS = 32;

/** Section 3.2.2.3 and 3.2.2.4. */
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const STOCK_BYTES = 4096;

/** Random digits for ids, out of a stock: to ask the system for each of them would cost several times as much. */
export class TraceIds {
  readonly #stock: Buffer = Buffer.alloc(STOCK_BYTES);
  #at: number = STOCK_BYTES;

  /**
   * Hexadecimal digits in lower case.
   *
   * @param bytes how many random bytes they stand for; at most 4096
   */
  take(bytes: number): string {
    if (this.#at + bytes > STOCK_BYTES) {
      randomFillSync(this.#stock);
      this.#at = 0;
    }
    const digits = this.#stock.toString('hex', this.#at, this.#at + bytes);
    this.#at += bytes;
    return digits;
  }
}

/**
 * Takes over the trace of a client, with a span of the gateway's own in it. A `traceparent` that cannot be read counts
 * as absent, as the specification asks (section 4.3).
 *
 * @param begins whether a call without a trace begins one, because somebody will record it
 * @param ids makes the span's id, and that of a trace that begins
 * @returns `null`: there is no trace
 *
 * @example
 * ```ts
 * takeTrace({ traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }, false, new TraceIds());
 * // { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: …, parentSpanId: 'b7ad6b7169203331', flags: 1, state: null }
 * ```
 */
export function takeTrace(headers: IncomingHttpHeaders, begins: boolean, ids: TraceIds): TraceContext | null {
  const { traceparent } = headers;
  const taken = typeof traceparent === 'string' ? continued(traceparent, headers, ids) : null;
  return taken ?? (begins ? begun(ids) : null);
}

/** Adds the trace to `target`, a flat list of names and values. */
export function addTrace(target: string[], trace: TraceContext): void {
  target.push('traceparent', toTraceparent(trace));
  if (trace.state !== null) target.push('tracestate', trace.state);
}

/** The headers that pass the trace on. */
export function traceHeaders(trace: TraceContext): Record<string, string> {
  const { state } = trace;
  return { traceparent: toTraceparent(trace), ...(state === null ? {} : { tracestate: state }) };
}

function toTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-0${flags}`;
}

function begun(ids: TraceIds): TraceContext {
  const digits = ids.take(TRACE_ID_BYTES + SPAN_ID_BYTES);
  return Object.freeze({
    traceId: digits.slice(0, TRACE_ID_BYTES * 2),
    spanId: digits.slice(TRACE_ID_BYTES * 2),
    parentSpanId: null,
    flags: SAMPLED,
    state: null,
  });
}

function continued(traceparent: string, headers: IncomingHttpHeaders, ids: TraceIds): TraceContext | null {
  const [, version, traceId = '', parentSpanId = '', flags = '', rest] = TRACEPARENT.exec(traceparent) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (isZero(traceId) || isZero(parentSpanId)) return null;
  const dropped = connectionOptions(headers.connection);
  if (dropped?.has('traceparent') === true) return null;
  return Object.freeze({
    traceId,
    spanId: ids.take(SPAN_ID_BYTES),
    parentSpanId,
    // Bits that this version does not know are not passed on.
    flags: Number.parseInt(flags, 16) & (SAMPLED | RANDOM),
    state: dropped?.has('tracestate') === true ? null : readState(headers.tracestate),
  });
}

/** All of it or nothing: what cannot be read might be read in another way behind the gateway. */
function readState(tracestate: string | readonly string[] | undefined): string | null {
  if (tracestate === undefined) return null;
  const text = typeof tracestate === 'string' ? tracestate : tracestate.join(',');
  const members = text
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
  const isSound =
    members.length > 0 &&
    members.length <= MAX_STATE_MEMBERS &&
    members.every((member) => STATE_MEMBER.test(member));
  return isSound ? text : null;
}

function isZero(id: string): boolean {
  return /^0+$/.test(id);
}
