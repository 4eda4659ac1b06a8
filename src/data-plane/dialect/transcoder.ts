import { type ErrorCode, GatewayError, toError } from '../../errors.ts';
import type { ResponseController } from '../../http1/types.ts';
import { mediaType } from '../../wire/headers.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import { DONE, EventCutter, MAX_EVENT_BYTES, parseEvents } from '../sse.ts';
import { MAX_WHOLE_BYTES } from '../upstream/attempt.ts';
import { UpstreamFailure, unusable } from '../upstream/failure.ts';
import type { AnswerHeaders } from '../upstream/headers.ts';
import type { Redact } from '../upstream/redact.ts';
import type { AnswerHandler } from '../upstream/upstream.ts';
import { UnusableAnswer } from './answer.ts';
import type { StreamPart } from './canonical.ts';
import type { CrossingBody } from './crossing-body.ts';
import { type Decoder, toUpstreamError, UpstreamError } from './upstream/decoder.ts';
import type { Target } from './upstream/target.ts';

export interface TranscoderOptions {
  /** Takes the answer in the client's dialect. */
  readonly handler: AnswerHandler;
  readonly target: Target;
  readonly body: CrossingBody;
  /** The deployment's id, for messages. */
  readonly deployment: string;
  readonly redact: Redact;
}

/**
 * Stands between an upstream and the attempt, and turns one dialect into the other as the bytes come. Pauses and aborts
 * go past it: the attempt has the upstream's own controller. Errors (status 300 and up) pass as they are.
 */
export class Transcoder implements AnswerHandler {
  readonly #handler: AnswerHandler;
  readonly #target: Target;
  readonly #body: CrossingBody;
  readonly #deployment: string;
  readonly #redact: Redact;
  readonly #decoder: Decoder;
  #mode: 'as it is' | 'json' | 'events' | 'failed' = 'as it is';
  #status = 0;
  #chunks: Buffer[] = [];
  #length = 0;
  readonly #cutter = new EventCutter();

  constructor(options: TranscoderOptions) {
    this.#handler = options.handler;
    this.#target = options.target;
    this.#body = options.body;
    this.#deployment = options.deployment;
    this.#redact = options.redact;
    this.#decoder = options.target.decoder();
  }

  onRequestStart(controller: ResponseController): void {
    this.#handler.onRequestStart(controller);
  }

  onResponseStart(controller: ResponseController, status: number, headers: AnswerHeaders): void {
    this.#status = status;
    const type = mediaType(headers['content-type']);
    if (status >= 200 && status < 300) this.#mode = type === 'text/event-stream' ? 'events' : 'json';
    // What is not JSON either is refused by whoever takes the answer.
    this.#handler.onResponseStart(controller, status, headers);
  }

  onResponseData(controller: ResponseController, chunk: Buffer): void {
    if (this.#mode === 'events') this.#pushEvents(controller, chunk);
    else if (this.#mode === 'json') this.#collect(chunk);
    else this.#handler.onResponseData(controller, chunk);
  }

  onResponseEnd(controller: ResponseController): void {
    if (this.#mode === 'json') this.#endJson(controller);
    if (this.#mode === 'events') this.#endEvents(controller);
    if (this.#mode !== 'failed') this.#handler.onResponseEnd(controller);
  }

  onResponseError(controller: ResponseController, error: Error): void {
    if (this.#mode === 'events') this.#endEvents(controller);
    this.#handler.onResponseError(controller, error);
  }

  reject(failure: UpstreamFailure): void {
    this.#handler.reject(failure);
  }

  #pushEvents(controller: ResponseController, chunk: Buffer): void {
    const events = this.#cutter.push(chunk);
    if (events !== null) this.#translate(controller, events);
    else if (this.#cutter.pendingBytes > MAX_EVENT_BYTES) this.#fail('sent an event that is too large');
  }

  /** All that is missing behind the last event may be its blank line. */
  #endEvents(controller: ResponseController): void {
    const rest = this.#cutter.rest();
    if (rest !== null && !this.#body.finished) {
      this.#translate(controller, Buffer.concat([rest, BLANK_LINE]), false);
    }
  }

  /** @param whole `false`: what is left at the end may be half an event */
  #translate(controller: ResponseController, events: Buffer, whole = true): void {
    const bytes = this.#try(() => {
      const parts: StreamPart[] = [];
      for (const { data } of parseEvents(events)) {
        if (data === null) continue;
        if (data === DONE) parts.push(...this.#decoder.end());
        else {
          const chunk = parseObject(data);
          if (chunk === null && !whole) return NOTHING;
          if (chunk === null) throw new UnusableAnswer('sent an event that is no JSON object');
          parts.push(...this.#decoder.push(chunk));
        }
      }
      return this.#body.events(parts);
    });
    if (bytes !== null && bytes.length > 0) this.#handler.onResponseData(controller, bytes);
  }

  #collect(chunk: Buffer): void {
    this.#length += chunk.length;
    if (this.#length > MAX_WHOLE_BYTES) this.#fail('sent an answer that is too large');
    else this.#chunks.push(chunk);
  }

  /** A whole answer is a stream that comes at once. */
  #endJson(controller: ResponseController): void {
    const answer = this.#try(() => {
      const json = parseObject(Buffer.concat(this.#chunks).toString());
      if (json === null) throw new UnusableAnswer('answered with something that is no complete JSON object');
      const { content, surface } = this.#target;
      if (json.error != null) throw toUpstreamError(json.error);
      if (!Array.isArray(json[content]))
        throw new UnusableAnswer('answered with something that is no answer');
      const events = surface.stream?.replay(json, WITH_USAGE) ?? [];
      const parts = events.flatMap((event) => this.#decoder.push(event));
      const body = this.#body.json([...parts, ...this.#decoder.end()]);
      if (body === null) throw new UnusableAnswer('answered with something that is no answer');
      return body;
    });
    if (answer !== null) this.#handler.onResponseData(controller, Buffer.from(JSON.stringify(answer)));
  }

  #try<Result>(translate: () => Result): Result | null {
    try {
      return translate();
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  #fail(cause: unknown): void {
    this.#mode = 'failed';
    this.#chunks = [];
    this.#handler.reject(toFailure(cause, this.#deployment, this.#status, this.#redact));
  }
}

/** What has gone wrong in an answer, as the failure of its attempt. A text completes "The upstream …". */
export function toFailure(
  cause: unknown,
  deployment: string,
  status: number | null,
  redact: Redact,
): UpstreamFailure {
  if (typeof cause === 'string') return unusable(deployment, cause, status);
  if (cause instanceof UnusableAnswer) return unusable(deployment, cause.message, status);
  if (!(cause instanceof UpstreamError)) {
    return unusable(deployment, 'answered with what cannot be read', status, toError(cause));
  }
  const words = redact(cause.message).slice(0, MAX_MESSAGE_LENGTH);
  const message = words === '' ? `The upstream of "${deployment}" reported an error` : words;
  return new UpstreamFailure(new GatewayError(codeOf(cause.kind), message), { retry: 'anywhere', status });
}

const MAX_MESSAGE_LENGTH = 2000;

function codeOf(kind: string): ErrorCode {
  if (kind === 'rate_limit_error' || kind === 'rate_limit_exceeded') return 'rate_limit_exceeded';
  return kind === 'timeout_error' ? 'upstream_timeout' : 'upstream_error';
}

const NOTHING = Buffer.alloc(0);
const BLANK_LINE = Buffer.from('\n\n');
const WITH_USAGE: JsonObject = Object.freeze({ stream_options: { include_usage: true } });

function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
