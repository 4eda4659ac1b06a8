import type { Readable } from 'node:stream';
import type { Request, RequestHandler, Response } from 'express';
import type { Channel } from '../channel/channel.ts';
import type { ServedCall } from '../channel/serving.ts';
import type { OutgoingStream } from '../channel/streams.ts';
import type { AnswerHead, CrossingBody, CrossingRequest, HandedOn, HttpOutcome } from '../protocol.ts';
import { answerThrough, isWrapped, refuseReplaced } from './answer-relay.ts';
import { AnswerSink } from './answer-sink.ts';
import { createMessages, type MessagePorts, type Messages } from './messages.ts';

/** Told of what breaks after a request has been handed on or answered. */
export type OnLate = (error: unknown) => void;

/** Runs a handler for a request that the gateway has sent. Rejects with what it throws before it has answered. */
export function runRemote(
  channel: Channel,
  handler: RequestHandler,
  request: CrossingRequest,
  call: ServedCall,
  onLate: OnLate,
): Promise<HttpOutcome> {
  const openAnswer = (head: AnswerHead): OutgoingStream => {
    const stream = channel.open();
    call.emit('head', { ...head, stream: stream.id });
    return stream;
  };
  const openBody = (): Readable => {
    const body = channel.accept(request.stream);
    call.emit('pull', null);
    return body;
  };
  const sendHead: MessagePorts['sendHead'] = (head, onDrain) => new AnswerSink(head, openAnswer, onDrain);
  const messages = createMessages(request, { openBody, sendHead });
  const relay = (next: HandedOn): Readable => {
    // Before the gateway hears of it: it writes at once.
    const answer = channel.accept(request.relay);
    call.emit('next', next);
    return answer;
  };
  return new Exchange(messages, request, { onLate, relay }).run(handler, call);
}

/** What an exchange needs of the gateway, besides its messages. */
interface ExchangePorts {
  readonly onLate: OnLate;
  /** Hands on; what is returned is the answer of others, to be led through what the handler has wrapped. */
  readonly relay: (next: HandedOn) => Readable;
}

class Exchange {
  readonly #messages: Messages;
  readonly #request: CrossingRequest;
  readonly #onLate: OnLate;
  readonly #relay: ExchangePorts['relay'];
  readonly #givenBody: unknown;
  readonly #outcome = Promise.withResolvers<HttpOutcome>();
  #over = false;
  #isRelaying = false;

  constructor(messages: Messages, request: CrossingRequest, { onLate, relay }: ExchangePorts) {
    this.#messages = messages;
    this.#request = request;
    this.#onLate = onLate;
    this.#relay = relay;
    this.#givenBody = messages.req.body;
  }

  run(handler: RequestHandler, call: ServedCall): Promise<HttpOutcome> {
    const { req, res, socket } = this.#messages;
    call.whenGivenUp(() => socket.destroy());
    res.once('finish', () => {
      const answer = socket.body?.whole() ?? null;
      this.#settle(answer === null ? {} : { answer });
    });
    res.on('error', this.#onLate);
    try {
      const returned: unknown = handler(req as unknown as Request, res as unknown as Response, (argument) =>
        this.#next(argument),
      );
      if (returned instanceof Promise) returned.catch((reason) => this.#thrown(reason));
    } catch (thrown) {
      this.#thrown(thrown);
    }
    return this.#outcome.promise;
  }

  #next(argument: unknown): void {
    if (argument != null && argument !== 'route' && argument !== 'router') this.#thrown(argument);
    else if (this.#over || this.#isRelaying)
      this.#onLate(new Error('next() was called twice, or after the answer'));
    else if (this.#messages.res.headersSent)
      this.#onLate(new Error('next() was called after the answer had begun'));
    else this.#handOn();
  }

  #handOn(): void {
    try {
      const next = changes(this.#messages, this.#request, this.#givenBody);
      if (!isWrapped(this.#messages.res)) this.#settle({ next });
      else {
        this.#isRelaying = true;
        answerThrough(this.#messages.res, this.#relay(next)).catch((reason) => this.#fail(reason));
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** After it has handed on, it breaks for itself alone. */
  #thrown(thrown: unknown): void {
    if (this.#isRelaying) this.#onLate(thrown);
    else this.#fail(thrown);
  }

  #fail(thrown: unknown): void {
    if (this.#over) {
      this.#onLate(thrown);
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

/** @throws Error for what a handler did that has no effect on the other side of the channel */
function changes({ req, res }: Messages, before: CrossingRequest, givenBody: unknown): HandedOn {
  refuseReplaced(res);
  const { url = before.url, method = before.method } = req;
  const answer = res.getHeaders() as NonNullable<HandedOn['setAnswer']>;
  const headers = req.headers as Record<string, string | string[]>;
  const setHeaders = changed(before.headers, headers);
  const removedHeaders = Object.keys(before.headers).filter((name) => headers[name] === undefined);
  const setAnswer = changed(before.answer, answer);
  const removedAnswer = Object.keys(before.answer).filter((name) => answer[name] === undefined);
  return {
    ...(url !== before.url && { url }),
    ...(method !== before.method && { method }),
    ...(setHeaders !== null && { setHeaders }),
    ...(removedHeaders.length > 0 && { removedHeaders }),
    ...(req.body !== givenBody && { body: toCrossing(req.body) }),
    ...(res.statusCode !== before.status && { status: res.statusCode }),
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

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  return Array.isArray(one) && Array.isArray(other) && JSON.stringify(one) === JSON.stringify(other);
}

function toCrossing(body: unknown): CrossingBody {
  if (body instanceof Uint8Array) return { base64: Buffer.from(body).toString('base64') };
  return { json: body };
}
