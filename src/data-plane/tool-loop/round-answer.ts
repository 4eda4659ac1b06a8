import type { OutgoingHttpHeaders } from 'node:http';
import { GatewayError } from '../../errors.ts';
import type { GatewayRequest, GatewayResponse } from '../../wire/message.ts';
import { ClientAnswer, type ErrorDetails } from '../client-answer.ts';
import type { JsonObject } from '../json-value.ts';
import type { StreamShape } from '../surface/surface.ts';

/** What one round has brought. */
export type Kept =
  | {
      readonly kind: 'json';
      readonly status: number;
      readonly headers: OutgoingHttpHeaders;
      readonly body: Buffer;
    }
  | { readonly kind: 'error'; readonly error: GatewayError; readonly details: ErrorDetails };

/** The client's side of a call of several rounds: each round's answer is kept here, and the client gets one. */
export class RoundAnswer extends ClientAnswer {
  readonly #left = new AbortController();
  #keeps = true;
  #kept: Kept | null = null;

  constructor(req: GatewayRequest, res: GatewayResponse) {
    super(req, res);
    res.on('close', () => this.#left.abort());
  }

  /** Aborted when the client is gone, or has its answer. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** That of the round that was kept last. */
  override get status(): number {
    if (this.gone || this.#kept === null) return super.status;
    return this.#kept.kind === 'json' ? this.#kept.status : this.#kept.error.status;
  }

  override json(status: number, headers: OutgoingHttpHeaders, body: Buffer): void {
    if (this.#keeps) this.#keep({ kind: 'json', status, headers, body });
    else super.json(status, headers, body);
  }

  override error(error: GatewayError, details: ErrorDetails = {}): void {
    if (this.#keeps) this.#keep({ kind: 'error', error, details });
    else super.error(error, details);
  }

  /** From now on the client gets what comes. */
  passOn(): void {
    this.#keeps = false;
    this.#kept = null;
  }

  /** What the round has brought; `null`: the client has gone. */
  take(): Kept | null {
    const kept = this.#kept;
    this.#kept = null;
    if (this.gone) return null;
    if (kept === null) throw new GatewayError('internal_error', 'A round has ended without an answer');
    return kept;
  }

  /** Answers the client with what a round has brought, as it came. */
  pass(kept: Kept): void {
    if (kept.kind === 'json') super.json(kept.status, kept.headers, kept.body);
    else super.error(kept.error, kept.details);
  }

  /** Answers the client with a body that has been made of the rounds'. */
  finish(
    status: number,
    headers: OutgoingHttpHeaders,
    body: JsonObject,
    stream: { readonly shape: StreamShape; readonly request: JsonObject } | null,
  ): void {
    if (stream === null) {
      super.json(status, headers, Buffer.from(JSON.stringify(body)));
      return;
    }
    const { framing, replay } = stream.shape;
    const events = replay(body, stream.request).map((chunk) => framing.encode(chunk));
    delete headers['content-length'];
    this.openStream(status, headers, framing);
    this.end(Buffer.concat(framing.terminator === null ? events : [...events, framing.terminator]));
  }

  #keep(kept: Kept): void {
    this.firstByteMs ??= this.elapsedMs();
    this.#kept = kept;
  }
}
