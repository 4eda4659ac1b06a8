import type { OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http';
import { type Readable, Writable } from 'node:stream';
import type { Response } from 'express';
import { GatewayError } from '../../errors.ts';
import { sendError } from '../../wire/error-response.ts';
import type { AnswerHead, RelayedHead } from '../protocol.ts';

type Fields = OutgoingHttpHeaders | readonly OutgoingHttpHeader[];
type Done = (error?: Error | null) => void;
type Below = Pick<Response, 'write' | 'end' | 'writeHead' | 'flushHeaders'>;

/**
 * Leads an answer that others write through a plugin's process whose middleware has wrapped it (npm's `compression`
 * replaces `res.write` and `res.end`). Takes the place of the methods that answers are written with, as that
 * middleware does where it runs; what comes back goes to the methods that were there before.
 */
export class AnswerRelay {
  readonly #res: Response;
  readonly #out: Writable;
  readonly #below: Below;
  #captured = false;
  #isExplicit = false;
  #headSent = false;
  #ended = false;
  #isTelling = false;
  #taken = false;
  #broken: GatewayError | null = null;
  #onDrain: (() => void) | null = null;

  /** @param out takes the head of the answer as a line of JSON, and then its body */
  constructor(res: Response, out: Writable) {
    this.#res = res;
    this.#out = out;
    const { write, end, writeHead, flushHeaders } = res;
    this.#below = { write, end, writeHead, flushHeaders };
    // Before anybody else replaces `on`: of the drain of what is below.
    res.on('drain', () => this.#drained());
    out.on('drain', () => this.#tellDrain());
    this.#install();
  }

  /** What the plugin's process has made of the answer. */
  take(head: AnswerHead, body: Readable): void {
    const res = this.#res;
    if (!this.#takeHead(head)) {
      body.destroy();
      return;
    }
    res.once('close', () => body.destroy());
    // Half an answer must not be taken for a whole one.
    body.once('error', () => res.destroy());
    const sink = this.#sink();
    body.pipe(sink);
    // A head whose body is still to come, as an event stream's: the client waits for it.
    setImmediate(() => {
      if (sink.writableLength === 0 && !sink.writableEnded && !res.destroyed)
        this.#below.flushHeaders.call(res);
    });
  }

  /** The same, in one piece. */
  takeWhole(head: AnswerHead, body: Uint8Array): void {
    if (this.#takeHead(head)) this.#below.end.call(this.#res, body, 'utf8');
  }

  /** The plugin's process gives no answer any more. One that it has begun is cut, any other becomes an error. */
  fail(cause: unknown): void {
    if (this.#broken !== null) return;
    const message = 'A plugin that the answer had to pass through has failed';
    this.#broken = new GatewayError('plugin_error', message, { cause });
    this.#out.destroy();
    if (this.#taken) this.#res.destroy();
    else if (this.#captured) this.#answerBroken(this.#broken);
  }

  /** False when it is not wanted any more. */
  #takeHead({ status, message, headers }: AnswerHead): boolean {
    const res = this.#res;
    if (this.#taken || this.#broken !== null || res.destroyed) return false;
    this.#taken = true;
    for (const name of res.getHeaderNames()) res.removeHeader(name);
    for (let i = 0; i + 1 < headers.length; i += 2) res.appendHeader(headers[i] ?? '', headers[i + 1] ?? '');
    res.statusMessage = message;
    this.#below.writeHead.call(res, status);
    return true;
  }

  #install(): void {
    const res = this.#res;
    res.writeHead = ((status: number, reason?: string | Fields, fields?: Fields) => {
      this.#isExplicit = true;
      this.#capture(status, reason, fields);
      return res;
    }) as Response['writeHead'];
    res.flushHeaders = () => {
      this.#isExplicit = true;
      this.#capture(res.statusCode);
    };
    res.write = ((chunk: string | Uint8Array, encoding?: BufferEncoding | Done, done?: Done) =>
      this.#write(chunk, encoding, done)) as Response['write'];
    res.end = ((chunk?: string | Uint8Array | Done, encoding?: BufferEncoding | Done, done?: Done) => {
      this.#end(chunk, encoding, done);
      return res;
    }) as Response['end'];
    Object.defineProperty(res, 'headersSent', { configurable: true, get: () => this.#captured });
  }

  /** The head as `writeHead` would have it; not sent before it is known whether the whole answer comes with it. */
  #capture(status: number, reason?: string | Fields, fields?: Fields): void {
    if (this.#captured) return;
    if (this.#broken !== null) {
      this.#answerBroken(this.#broken);
      return;
    }
    const res = this.#res;
    res.statusCode = status;
    if (typeof reason === 'string') res.statusMessage = reason;
    setFields(res, typeof reason === 'string' ? fields : reason);
    this.#captured = true;
    setImmediate(() => this.#sendHead(false));
  }

  #write(chunk: string | Uint8Array, encoding?: BufferEncoding | Done, done?: Done): boolean {
    this.#capture(this.#res.statusCode);
    if (this.#broken !== null || this.#ended) return false;
    this.#sendHead(false);
    return this.#push(chunk, encoding, done);
  }

  #end(chunk?: string | Uint8Array | Done, encoding?: BufferEncoding | Done, done?: Done): void {
    this.#capture(this.#res.statusCode);
    if (this.#broken !== null || this.#ended) return;
    this.#ended = true;
    this.#sendHead(true);
    const onEnd = [chunk, encoding, done].find((argument) => typeof argument === 'function');
    if (onEnd !== undefined) this.#res.once('finish', onEnd);
    if (chunk != null && typeof chunk !== 'function')
      this.#push(chunk, typeof encoding === 'string' ? encoding : undefined);
    this.#out.end();
  }

  #push(chunk: string | Uint8Array, encoding?: BufferEncoding | Done, done?: Done): boolean {
    const onWritten = typeof encoding === 'function' ? encoding : done;
    return this.#out.write(chunk, typeof encoding === 'string' ? encoding : 'utf8', (error) => {
      onWritten?.(error ?? undefined);
    });
  }

  #sendHead(whole: boolean): void {
    if (this.#headSent || this.#broken !== null || this.#res.destroyed) return;
    this.#headSent = true;
    const { statusCode: status, statusMessage } = this.#res;
    const headers = this.#res.getHeaders() as RelayedHead['headers'];
    const head: RelayedHead = {
      status,
      message: statusMessage ?? '',
      headers,
      whole,
      explicit: this.#isExplicit,
    };
    this.#out.write(`${JSON.stringify(head)}\n`);
  }

  #sink(): Writable {
    const write = (chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void => {
      if (this.#below.write.call(this.#res, chunk, 'utf8')) done();
      else this.#onDrain = done;
    };
    const final = (done: Done): void => {
      this.#below.end.call(this.#res, undefined, 'utf8');
      done();
    };
    return new Writable({ write, final });
  }

  #drained(): void {
    if (this.#isTelling) return;
    const go = this.#onDrain;
    this.#onDrain = null;
    go?.();
  }

  /** Those who write the answer wait for `drain`, which is not that of the client then. */
  #tellDrain(): void {
    this.#isTelling = true;
    this.#res.emit('drain');
    this.#isTelling = false;
  }

  #answerBroken(error: GatewayError): void {
    this.#captured = true;
    Object.assign(this.#res, this.#below);
    Reflect.deleteProperty(this.#res, 'headersSent');
    sendError(this.#res, error);
  }
}

/** True when an answer can still be led elsewhere. */
export function canRelay(res: Response): boolean {
  return !res.headersSent && !res.destroyed && !res.writableEnded;
}

/** As `writeHead` takes them: an object, or names and values one after the other. They replace what was set. */
function setFields(res: Response, fields: Fields | undefined): void {
  if (fields === undefined || fields === null) return;
  if (!isList(fields)) {
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) res.setHeader(name, value);
    return;
  }
  const flat = fields.flat();
  for (let i = 0; i + 1 < flat.length; i += 2) res.removeHeader(String(flat[i]));
  for (let i = 0; i + 1 < flat.length; i += 2) res.appendHeader(String(flat[i]), String(flat[i + 1]));
}

function isList(fields: Fields): fields is readonly OutgoingHttpHeader[] {
  return Array.isArray(fields);
}
