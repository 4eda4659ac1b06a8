import type { Readable } from 'node:stream';
import express from 'express';
import type { RelayedHead } from '../protocol.ts';
import type { RemoteResponse } from './messages.ts';

/** Every answer passes through these, whoever writes it and with what. */
const WRAPPED = ['write', 'end', 'writeHead'] as const;
/** What others call on the gateway's own response: to replace it here has no effect there. */
const OUT_OF_REACH: readonly string[] = [
  ...Object.keys(express.response),
  'setHeader',
  'setHeaders',
  'appendHeader',
  'removeHeader',
];
const NEWLINE = 0x0a;

/** True when a handler has replaced what answers are written with, as npm's `compression` and `morgan` do. */
export function isWrapped(res: RemoteResponse): boolean {
  return WRAPPED.some((method) => Object.hasOwn(res, method));
}

/** @throws Error for what would have no effect on the answers of others */
export function refuseReplaced(res: RemoteResponse): void {
  const replaced = OUT_OF_REACH.find((method) => Object.hasOwn(res, method));
  if (replaced === undefined) return;
  throw new Error(
    `saw middleware that replaces res.${replaced}() and hands on; expected it to replace none but res.write(), res.end() and res.writeHead(), which the answers of others pass through: run the plugin inline`,
  );
}

/** Answers with what others have answered, as if that were done here: by the methods that have been replaced. */
export async function answerThrough(res: RemoteResponse, answer: Readable): Promise<void> {
  const pieces = answer[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
  const { head, rest } = await readHead(pieces);
  setHead(res, head);
  if (head.explicit) res.writeHead(head.status);
  if (head.whole) {
    // In one piece, as it was written: what wraps it may judge it by its length.
    const body = await collect(rest, pieces);
    if (body.length > 0) res.end(body);
    else res.end();
    return;
  }
  const writer = new PieceWriter(res);
  if (rest.length > 0) await writer.write(rest);
  for await (const piece of pieces) await writer.write(piece);
  res.end();
}

/**
 * Ends what others have answered, as if that had been done here, for who listens.
 *
 * @param onHead called before anything of it is told
 */
export async function endWith(res: RemoteResponse, answer: Readable, onHead: () => void): Promise<void> {
  const { head } = await readHead(answer[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>);
  onHead();
  // Who has answered by itself meanwhile has been told that it was too late, and has heard of that end.
  if (res.headersSent) return;
  setHead(res, head);
  res.end();
}

async function readHead(
  pieces: AsyncIterableIterator<Buffer>,
): Promise<{ readonly head: RelayedHead; readonly rest: Buffer }> {
  let read: Buffer = Buffer.alloc(0);
  for (;;) {
    const { value, done } = await pieces.next();
    if (done === true) throw new Error('the answer of others ended before its head');
    read = read.length === 0 ? value : Buffer.concat([read, value]);
    const end = read.indexOf(NEWLINE);
    if (end < 0) continue;
    const head = JSON.parse(read.toString('utf8', 0, end)) as RelayedHead;
    return { head, rest: read.subarray(end + 1) };
  }
}

/** The head is the whole head: what is not in it was taken away. */
function setHead(res: RemoteResponse, { status, message, headers }: RelayedHead): void {
  for (const name of res.getHeaderNames()) if (!Object.hasOwn(headers, name)) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.statusCode = status;
  if (message !== '') res.statusMessage = message;
}

async function collect(first: Buffer, pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all = [first];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** Pieces are sent when there is something to read in them: what holds them back (`compression`) lets them go. */
class PieceWriter {
  readonly #res: RemoteResponse;
  #go: () => void = () => undefined;

  constructor(res: RemoteResponse) {
    this.#res = res;
    // One listener for all: what replaces `res.on` may never take one off again.
    for (const event of ['drain', 'close']) res.on(event, () => this.#go());
  }

  async write(piece: Buffer): Promise<void> {
    const res = this.#res;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#go = resolve;
    const more = res.write(piece);
    const { flush } = res as { flush?: unknown };
    if (typeof flush === 'function') flush.call(res);
    if (!more && !res.destroyed) await promise;
  }
}
