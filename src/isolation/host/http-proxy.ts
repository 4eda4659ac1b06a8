import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { MAX_PACKED_BYTES, type PackedBytes, packBytes, unpackBytes } from '../channel/bytes.ts';
import type { Channel } from '../channel/channel.ts';
import type {
  AnswerHead,
  CrossingBody,
  CrossingHead,
  CrossingRequest,
  HandedOn,
  InterimAnswer,
  WholeAnswer,
} from '../protocol.ts';
import { AnswerRelay, canRelay } from './answer-relay.ts';
import { AnswerWatch } from './answer-watch.ts';
import { parseHandedOn, parseHead, parseInterim, parseOutcome, parseTrailers } from './http-outcome.ts';

/** Gives the channel to the plugin's process, once there is one that is ready. */
export type Connect = () => Channel | Promise<Channel>;

/** A request as the gateway's server makes it. */
type GatewayRequest = Request & { readonly id?: string; readonly identity?: unknown };

/** A handler that has its request answered, or looked at, by the plugin's process. */
export function proxyHandler(
  connect: Connect,
  method: 'route' | 'middleware',
  index: number,
): RequestHandler {
  return async (req, res, next) => {
    const channel = await connect();
    // Middleware leaves bodies to others as a rule, and asks when it does not.
    const unread = method === 'route' && hasUnreadBody(req) ? peek(req) : undefined;
    const handedOn = await new Crossing(channel, req, res, next, unread).run(method, index);
    if (handedOn === null) return;
    apply(handedOn, req, res);
    next();
  };
}

class Crossing {
  readonly #channel: Channel;
  readonly #req: GatewayRequest;
  readonly #res: Response;
  readonly #next: NextFunction;
  readonly #unread: PackedBytes | undefined;
  readonly #stream: number | null;
  readonly #relayStream: number;
  #relay: AnswerRelay | null = null;
  #watch: AnswerWatch | null = null;

  constructor(
    channel: Channel,
    req: GatewayRequest,
    res: Response,
    next: NextFunction,
    unread: PackedBytes | undefined,
  ) {
    this.#channel = channel;
    this.#req = req;
    this.#res = res;
    this.#next = next;
    this.#relayStream = channel.reserveStream();
    this.#unread = unread;
    // Node drops what nobody has read of a request, but no more when it has been looked at.
    if (unread !== undefined) res.once('close', () => req.resume());
    this.#stream = unread === undefined && hasUnreadBody(req) ? channel.reserveStream() : null;
  }

  /** `null`: it was answered, or nobody waits for it any more. */
  async run(method: string, index: number): Promise<HandedOn | null> {
    const params = { index, request: this.#describe() };
    const { result, giveUp } = this.#channel.start(method, params, (event, value) =>
      this.#hear(event, value),
    );
    let isGone = false;
    const onClose = (): void => {
      if (this.#watch?.isTold === true) return;
      isGone = true;
      giveUp(new Error('the client has gone'));
    };
    this.#res.once('close', onClose);
    try {
      const { next = null, answer } = parseOutcome(await result);
      if (answer !== undefined) this.#answerWhole(answer);
      return next;
    } catch (error) {
      // Whoever hung up, or had its answer already because time was up, waits for nothing.
      if (isGone) return null;
      this.#relay?.fail(error);
      throw error;
    } finally {
      this.#res.off('close', onClose);
    }
  }

  #hear(event: string, value: unknown): void {
    if (event === 'pull') this.#sendBody();
    else if (event === 'head') this.#answer(parseHead(value));
    else if (event === 'next') this.#handOn(parseHandedOn(value));
    else if (event === 'interim') this.#answerMeanwhile(parseInterim(value));
    else if (event === 'trailers') this.#res.addTrailers(pairs(parseTrailers(value)));
  }

  /** Handed on by middleware that listens, or has wrapped the answer: then what others answer passes through it. */
  #handOn(changes: HandedOn): void {
    if (this.#relay !== null || this.#watch !== null || !canRelay(this.#res)) return;
    apply(changes, this.#req, this.#res);
    const out = this.#channel.open(this.#relayStream);
    if (changes.listens === true) this.#watch = new AnswerWatch(this.#res, out);
    else this.#relay = new AnswerRelay(this.#res, out);
    this.#next();
  }

  #answerMeanwhile({ status, headers }: InterimAnswer): void {
    const res = this.#res;
    if (!res.headersSent && !res.destroyed) res.writeInformation(status, headers as string[]);
  }

  #sendBody(): void {
    if (this.#stream === null) return;
    const body = this.#channel.open(this.#stream);
    this.#req.once('error', (error) => body.destroy(error));
    this.#req.pipe(body);
  }

  #answer(head: CrossingHead): void {
    const res = this.#res;
    const body = this.#channel.accept(head.stream);
    if (this.#relay !== null) {
      this.#relay.take(head, body);
      return;
    }
    if (this.#watch !== null || res.headersSent || res.destroyed) {
      body.destroy();
      return;
    }
    setHead(res, head);
    res.once('close', () => body.destroy());
    // Half an answer must not be taken for a whole one.
    body.once('error', () => res.destroy());
    body.pipe(res);
    // A head whose body is still to come, as an event stream's: the client waits for it.
    setImmediate(() => {
      if (!res.headersSent && !res.destroyed) res.flushHeaders();
    });
  }

  #answerWhole(answer: WholeAnswer): void {
    const res = this.#res;
    const body = unpackBytes(answer.body);
    if (this.#relay !== null) this.#relay.takeWhole(answer, body);
    else if (this.#watch === null && !res.headersSent && !res.destroyed) {
      setHead(res, answer);
      // Node sends a head and a text of one-byte characters in one write, and a head and a buffer in two.
      res.end(body.toString('latin1'), 'latin1');
    }
  }

  #describe(): CrossingRequest {
    const req = this.#req;
    const { method, url, originalUrl, baseUrl, params, httpVersion } = req;
    return {
      id: req.id ?? '',
      method,
      url,
      originalUrl,
      baseUrl,
      params: { ...params },
      headers: req.headers as CrossingRequest['headers'],
      httpVersion,
      ip: req.socket.remoteAddress ?? '',
      encrypted: 'encrypted' in req.socket,
      identity: req.identity ?? null,
      answer: this.#res.getHeaders() as CrossingRequest['answer'],
      status: this.#res.statusCode,
      message: this.#res.statusMessage || undefined,
      body: req.body === undefined ? undefined : toCrossing(req.body),
      unread: this.#unread,
      stream: this.#stream,
      relay: this.#relayStream,
    };
  }
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? '']);
}

/** The head is the whole head: what is not in it was taken away. */
function setHead(res: Response, { status, message, headers }: AnswerHead): void {
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  for (let i = 0; i + 1 < headers.length; i += 2) res.appendHeader(headers[i] ?? '', headers[i + 1] ?? '');
  res.statusCode = status;
  if (message !== '') res.statusMessage = message;
}

function apply(changes: HandedOn, req: Request, res: Response): void {
  const { url, method, setHeaders, removedHeaders, body, status, message, setAnswer, removedAnswer } =
    changes;
  if (url !== undefined) req.url = url;
  if (method !== undefined) req.method = method;
  Object.assign(req.headers, setHeaders);
  for (const name of removedHeaders ?? []) delete req.headers[name];
  if (body !== undefined) req.body = 'json' in body ? body.json : Buffer.from(body.base64, 'base64');
  if (status !== undefined) res.statusCode = status;
  if (message !== undefined) res.statusMessage = message;
  for (const name of removedAnswer ?? []) res.removeHeader(name);
  for (const [name, value] of Object.entries(setAnswer ?? {})) res.setHeader(name, value);
}

function hasUnreadBody(req: GatewayRequest): boolean {
  if (req.body !== undefined || req.readableEnded) return false;
  const { 'content-length': length, 'transfer-encoding': encoding } = req.headers;
  return encoding !== undefined || (length !== undefined && length !== '0');
}

/**
 * The body, when all of it is here: what a client sends at once is read together with its head. It stays where it is,
 * for whoever comes next if the plugin hands on.
 */
function peek(req: GatewayRequest): PackedBytes | undefined {
  const { readableLength: length, readableFlowing: isRead } = req;
  // The parser may have come to the body's end without having said so.
  const isWhole = req.complete || length === Number(req.headers['content-length']);
  if (!isWhole || isRead !== null || length === 0 || length > MAX_PACKED_BYTES) return undefined;
  const bytes: unknown = req.read();
  req.unshift(bytes);
  return bytes instanceof Buffer ? packBytes(bytes) : undefined;
}

function toCrossing(body: unknown): CrossingBody {
  if (body instanceof Uint8Array) return { base64: Buffer.from(body).toString('base64') };
  return { json: body };
}
