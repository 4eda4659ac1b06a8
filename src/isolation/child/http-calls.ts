import { validateHeaderValue } from 'node:http';
import type { Readable } from 'node:stream';
import type { Request, RequestHandler, Response } from 'express';
import type { Channel } from '../channel/channel.ts';
import type { ServedCall } from '../channel/serving.ts';
import type { OutgoingStream } from '../channel/streams.ts';
import type { AnswerHead, CrossingBody, CrossingRequest, HandedOn, HttpOutcome } from '../protocol.ts';
import { answerThrough, endWith, isWrapped, refuseReplaced } from './answer-relay.ts';
import { AnswerSink, type BodySink, NOWHERE } from './answer-sink.ts';
import type { KeptProperties } from './kept-properties.ts';
import { createMessages, type Messages, type RemoteResponse } from './messages.ts';

/** What is told of handlers besides what becomes of their requests. */
export interface HttpReports {
  /** Told of what breaks after a request has been handed on or answered. */
  readonly onLate: (error: unknown) => void;
  readonly kept: KeptProperties;
}

/** Runs a handler for a request that the gateway has sent. Rejects with what it throws before it has answered. */
export function runRemote(
  channel: Channel,
  handler: RequestHandler,
  request: CrossingRequest,
  call: ServedCall,
  reports: HttpReports,
): Promise<HttpOutcome> {
  return new Exchange(channel, request, call, reports).run(handler);
}

/** What there was before a handler was called. */
interface Before {
  readonly listeners: number;
  readonly properties: ReadonlySet<string> | null;
}

class Exchange {
  readonly #channel: Channel;
  readonly #request: CrossingRequest;
  readonly #call: ServedCall;
  readonly #reports: HttpReports;
  readonly #messages: Messages;
  readonly #givenBody: unknown;
  readonly #outcome = Promise.withResolvers<HttpOutcome>();
  #over = false;
  /** Others answer, and this plugin still takes part: it has wrapped the answer, or listens. */
  #handedOn: 'wrapped' | 'listening' | null = null;
  #othersHaveEnded = false;

  constructor(channel: Channel, request: CrossingRequest, call: ServedCall, reports: HttpReports) {
    this.#channel = channel;
    this.#request = request;
    this.#call = call;
    this.#reports = reports;
    this.#messages = createMessages(request, {
      openBody: () => this.#openBody(),
      sendHead: (head, onDrain) => this.#sendHead(head, onDrain),
      sendInterim: (answer) => call.emit('interim', answer),
    });
    this.#givenBody = this.#messages.req.body;
  }

  run(handler: RequestHandler): Promise<HttpOutcome> {
    const { req, res, socket } = this.#messages;
    this.#call.whenGivenUp(() => socket.destroy());
    res.once('finish', () => {
      const answer = socket.body?.whole() ?? null;
      this.#settle(answer === null ? {} : { answer });
    });
    res.on('error', this.#reports.onLate);
    const before: Before = {
      listeners: countListeners(this.#messages),
      properties: this.#reports.kept.before(this.#messages),
    };
    const next = (argument?: unknown): void => this.#next(argument, before);
    try {
      const returned: unknown = handler(req as unknown as Request, res as unknown as Response, next);
      if (returned instanceof Promise) returned.catch((reason) => this.#thrown(reason));
    } catch (thrown) {
      this.#thrown(thrown);
    }
    return this.#outcome.promise;
  }

  #openBody(): Readable {
    const body = this.#channel.accept(this.#request.stream);
    this.#call.emit('pull', null);
    return body;
  }

  #sendHead(head: AnswerHead, onDrain: () => void): BodySink {
    if (this.#handedOn !== 'listening') {
      const open = (whole: AnswerHead): OutgoingStream => {
        const stream = this.#channel.open();
        this.#call.emit('head', { ...whole, stream: stream.id });
        return stream;
      };
      return new AnswerSink(
        head,
        { open, trail: (trailers) => this.#call.emit('trailers', trailers) },
        onDrain,
      );
    }
    if (!this.#othersHaveEnded)
      this.#reports.onLate(
        new Error(
          'saw an answer of a handler that has handed on and listens; expected it to leave that to others',
        ),
      );
    return NOWHERE;
  }

  #next(argument: unknown, before: Before): void {
    if (argument != null && argument !== 'route' && argument !== 'router') this.#thrown(argument);
    else if (this.#over || this.#handedOn !== null)
      this.#reports.onLate(new Error('next() was called twice, or after the answer'));
    else if (this.#messages.res.headersSent)
      this.#reports.onLate(new Error('next() was called after the answer had begun'));
    else this.#handOn(before);
  }

  #handOn({ listeners, properties }: Before): void {
    const { res } = this.#messages;
    this.#reports.kept.handedOn(this.#messages, properties);
    try {
      const next = changes(this.#messages, this.#request, this.#givenBody);
      if (isWrapped(res)) {
        this.#handedOn = 'wrapped';
        answerThrough(res, this.#tellNext(next)).catch((reason) => this.#fail(reason));
      } else if (countListeners(this.#messages) > listeners) {
        this.#handedOn = 'listening';
        const answer = this.#tellNext({ ...next, listens: true });
        const onHead = (): void => {
          this.#othersHaveEnded = true;
        };
        endWith(res, answer, onHead).catch((reason) => this.#fail(reason));
      } else this.#settle({ next });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Hands on before the call is over; what is returned is the answer of others. */
  #tellNext(next: HandedOn): Readable {
    // Before the gateway hears of it: it writes at once.
    const answer = this.#channel.accept(this.#request.relay);
    this.#call.emit('next', next);
    return answer;
  }

  /** After it has handed on, it breaks for itself alone. */
  #thrown(thrown: unknown): void {
    if (this.#handedOn !== null) this.#reports.onLate(thrown);
    else this.#fail(thrown);
  }

  #fail(thrown: unknown): void {
    // An answer that has ended is whole: it is on its way, whatever comes after it.
    if (this.#over || this.#messages.res.writableEnded) {
      this.#reports.onLate(thrown);
      return;
    }
    this.#over = true;
    // Half an answer must not be taken for a whole one.
    if (this.#messages.res.headersSent) this.#messages.socket.destroy();
    this.#outcome.reject(thrown);
  }

  #settle(outcome: HttpOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#outcome.resolve(outcome);
  }
}

/** How many listeners hear of the end of a request or its answer. */
function countListeners({ req, res, socket }: Messages): number {
  return (
    res.listenerCount('finish') +
    res.listenerCount('close') +
    res.listenerCount('prefinish') +
    (req.closed ? 0 : req.listenerCount('close') + req.listenerCount('aborted')) +
    (req.readableEnded ? 0 : req.listenerCount('end')) +
    socket.listenerCount('close')
  );
}

/** @throws Error for what a handler did that has no effect on the other side of the channel */
function changes({ req, res }: Messages, before: CrossingRequest, givenBody: unknown): HandedOn {
  refuseReplaced(res);
  const { statusMessage: message } = res;
  if (message !== undefined) validateHeaderValue('status message', message);
  const { url = before.url, method = before.method } = req;
  const answer = res.getHeaders() as NonNullable<HandedOn['setAnswer']>;
  const headers = req.headers as Record<string, string | string[]>;
  const setHeaders = changed(before.headers, headers);
  const removedHeaders = Object.keys(before.headers).filter((name) => headers[name] === undefined);
  const setAnswer = asWritten(res, changed(before.answer, answer));
  const removedAnswer = Object.keys(before.answer).filter((name) => answer[name] === undefined);
  return {
    ...(url !== before.url && { url }),
    ...(method !== before.method && { method }),
    ...(setHeaders !== null && { setHeaders }),
    ...(removedHeaders.length > 0 && { removedHeaders }),
    ...(req.body !== givenBody && { body: toCrossing(req.body) }),
    ...(res.statusCode !== before.status && { status: res.statusCode }),
    ...(message !== before.message && { message }),
    ...(setAnswer !== null && { setAnswer }),
    ...(removedAnswer.length > 0 && { removedAnswer }),
  };
}

/** The members that are not what they were; `null`: none. */
function changed<T>(
  before: Readonly<Record<string, T>>,
  now: Readonly<Record<string, T>>,
): Readonly<Record<string, T>> | null {
  const entries = Object.entries(now).filter(([name, value]) => !isSame(before[name], value));
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/** Headers by the names that they were set with: `getHeaders()` has them in lower case. */
function asWritten<T>(
  res: RemoteResponse,
  headers: Readonly<Record<string, T>> | null,
): Readonly<Record<string, T>> | null {
  if (headers === null) return null;
  const { getRawHeaderNames } = res as unknown as { getRawHeaderNames(): string[] };
  const names = new Map(getRawHeaderNames.call(res).map((name) => [name.toLowerCase(), name]));
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [names.get(name) ?? name, value]));
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  return Array.isArray(one) && Array.isArray(other) && JSON.stringify(one) === JSON.stringify(other);
}

function toCrossing(body: unknown): CrossingBody {
  if (body instanceof Uint8Array) return { base64: Buffer.from(body).toString('base64') };
  return { json: body };
}
