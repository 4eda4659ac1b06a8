import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import express from 'express';
import { createApp } from '../../http/app.ts';
import type { PackedBytes } from '../channel/bytes.ts';
import { unpackBytes } from '../channel/bytes.ts';
import type { AnswerHead, CrossingBody, CrossingRequest, InterimAnswer } from '../protocol.ts';
import type { BodySink } from './answer-sink.ts';
import { RemoteSocket } from './remote-socket.ts';

/** What a handler's request and response need of the gateway. */
export interface MessagePorts {
  /** Asks for the request's body, once. */
  readonly openBody: () => Readable;
  /** Takes the head of the answer; what is returned takes the body, and tells `onDrain` when it takes more again. */
  readonly sendHead: (head: AnswerHead, onDrain: () => void) => BodySink;
  readonly sendInterim: (answer: InterimAnswer) => void;
}

/** A request and its response in the plugin's process: Node's own classes with Express's methods, without a network. */
export interface Messages {
  readonly req: RemoteRequest;
  readonly res: RemoteResponse;
  readonly socket: RemoteSocket;
}

/** Of the connection between gateway and client, which the gateway manages. */
const HOP_BY_HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** The request: Node's class, its body asked of the gateway when somebody reads it. */
export class RemoteRequest extends IncomingMessage {
  readonly id: string;
  readonly identity: unknown;
  declare body: unknown;
  declare res: RemoteResponse;

  constructor(socket: RemoteSocket, request: CrossingRequest, openBody: MessagePorts['openBody']) {
    super(socket as unknown as Socket);
    this.id = request.id;
    this.identity = request.identity;
    this.method = request.method;
    this.url = request.url;
    this.httpVersion = request.httpVersion;
    this.headers = { ...request.headers } as IncomingMessage['headers'];
    this.rawHeaders = Object.entries(request.headers).flatMap(([name, value]) => [name, String(value)]);
    [this.httpVersionMajor = 1, this.httpVersionMinor = 1] = request.httpVersion.split('.').map(Number);
    // On the object itself: Express replaces the prototype when a whole application is mounted.
    if (request.unread !== undefined) this._read = giveAtOnce(request.unread);
    else this._read = request.stream !== null ? readOnce(this, openBody) : endAtOnce;
    this.complete = request.stream === null;
  }
}

/** The response: Node's class, which writes its head to the gateway as data and its body unframed. */
export class RemoteResponse extends ServerResponse<RemoteRequest> {
  declare locals: Record<string, unknown>;

  constructor(req: RemoteRequest, socket: RemoteSocket, sendHead: MessagePorts['sendHead']) {
    super(req);
    this.sendDate = false;
    this.shouldKeepAlive = false;
    captureHead(this as unknown as HeadInternals, socket, sendHead);
    this.assignSocket(socket as unknown as Socket);
    // As Node's server does: before anybody else hears of it.
    this.on('finish', () => {
      const { _trailer: trailers } = this as unknown as HeadInternals;
      if (trailers !== '') socket.body?.trail(fieldsOf(trailers));
      socket.body?.end();
      dropUnread(req);
      this.detachSocket(socket as unknown as Socket);
      process.nextTick(close, this);
    });
  }
}

const app = createApp();
for (const [prototype, methods] of [
  [RemoteRequest.prototype, express.request],
  [RemoteResponse.prototype, express.response],
] as const) {
  Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(methods));
  Object.defineProperty(prototype, 'app', { value: app, configurable: true, writable: true });
}

/** Makes both, linked as Express links them. */
export function createMessages(request: CrossingRequest, ports: MessagePorts): Messages {
  const socket = new RemoteSocket(request, (text) => ports.sendInterim(interimOf(text)));
  const req = new RemoteRequest(socket, request, ports.openBody);
  // Before the response hears of it, as with Node's server.
  socket.once('close', () => {
    if (!req.res.writableFinished) req.destroy(gone());
  });
  const res = new RemoteResponse(req, socket, ports.sendHead);
  const { originalUrl, baseUrl, params } = request;
  Object.assign(req, { res, originalUrl, baseUrl, params });
  res.locals = Object.create(null);
  // Copies: `appendHeader` adds to the list that it finds, which has to stay what it was to tell what changed.
  for (const [name, value] of Object.entries(request.answer))
    res.setHeader(name, Array.isArray(value) ? [...value] : value);
  res.statusCode = request.status;
  if (request.message !== undefined) res.statusMessage = request.message;
  if (request.body !== undefined) giveBody(req, request.body);
  return { req, res, socket };
}

/** A body that has been read: parsers find the request at its end, and leave it as it is. */
function giveBody(req: RemoteRequest, body: CrossingBody): void {
  req.body = 'json' in body ? body.json : Buffer.from(body.base64, 'base64');
  req.readable = false;
}

interface HeadInternals {
  statusCode: number;
  statusMessage: string;
  chunkedEncoding: boolean;
  readonly _header: string;
  _headerSent: boolean;
  /** As text, each line ended; empty when there are none. */
  readonly _trailer: string;
  /** Every head is written through this one method of `OutgoingMessage`. */
  _storeHeader(firstLine: string, fields: unknown): void;
  emit(event: string): boolean;
}

function captureHead(res: HeadInternals, socket: RemoteSocket, sendHead: MessagePorts['sendHead']): void {
  const store = res._storeHeader;
  const storeAndSend: HeadInternals['_storeHeader'] = (firstLine, fields) => {
    store.call(res, firstLine, fields);
    res.chunkedEncoding = false;
    // It has been sent, though not to the socket.
    res._headerSent = true;
    const { statusCode: status, statusMessage: message } = res;
    const headers = headersOf(res._header);
    socket.body = sendHead({ status, message, headers }, () => res.emit('drain'));
  };
  // Not assigned as a literal: V8 would make it an old object, which keeps the request until the next full collection.
  res._storeHeader = storeAndSend;
}

/** The fields of a head. */
function headersOf(head: string): string[] {
  return fieldsOf(head.slice(head.indexOf('\r\n') + 2, -2));
}

/** From the text that Node made of them: it has them in every form that a handler can give them in. */
function fieldsOf(text: string): string[] {
  return text
    .split('\r\n')
    .slice(0, -1)
    .flatMap((line) => {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon);
      return HOP_BY_HOP.has(name.toLowerCase()) ? [] : [name, line.slice(colon + 2)];
    });
}

/** From the text that Node would write. */
function interimOf(text: string): InterimAnswer {
  return { status: Number(text.split(' ', 2)[1]), headers: headersOf(text) };
}

/** What Node calls it when the client leaves before the end. */
function gone(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
}

interface ReadInternals {
  /** Somebody has begun to read. */
  _consuming: boolean;
  readonly _readableState: { readonly resumeScheduled: boolean };
  _dump(): void;
}

/** A body that nobody has read when the answer has ended is not asked for any more: the request is at its end. */
function dropUnread(req: RemoteRequest): void {
  const internals = req as unknown as ReadInternals;
  if (internals._consuming || internals._readableState.resumeScheduled) return;
  begin(req);
  req.complete = true;
  req.push(null);
  internals._dump();
}

/** The last event, after `finish`. */
function close(res: RemoteResponse): void {
  const internals = res as unknown as { _closed: boolean; destroyed: boolean };
  if (internals._closed) return;
  internals.destroyed = true;
  internals._closed = true;
  res.emit('close');
}

function begin(req: IncomingMessage): void {
  (req as unknown as ReadInternals)._consuming = true;
}

function readOnce(req: RemoteRequest, openBody: MessagePorts['openBody']): () => void {
  let body: Readable | null = null;
  return () => {
    begin(req);
    if (body !== null) {
      body.resume();
      return;
    }
    body = openBody();
    body.on('data', (chunk) => {
      if (!req.push(chunk)) body?.pause();
    });
    body.on('end', () => {
      req.complete = true;
      req.push(null);
    });
    body.on('error', () => req.destroy());
  };
}

function giveAtOnce(unread: PackedBytes): (this: IncomingMessage) => void {
  return function (this: IncomingMessage) {
    begin(this);
    this.push(unpackBytes(unread));
    this.push(null);
  };
}

function endAtOnce(this: IncomingMessage): void {
  begin(this);
  this.push(null);
}
