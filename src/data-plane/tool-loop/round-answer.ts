import type { OutgoingHttpHeaders } from 'node:http';
import type { EndOfTurn } from '../../end-of-turn.ts';
import { GatewayError } from '../../errors.ts';
import type { GatewayRequest, GatewayResponse } from '../../wire/message.ts';
import { ClientAnswer, type ErrorDetails } from '../client-answer.ts';
import type { StreamFraming } from '../framing.ts';
import type { JsonObject } from '../json-value.ts';
import type { ShownStream } from './shown-stream.ts';

/** What one round has brought. */
export type Kept =
  | {
      readonly kind: 'json';
      readonly status: number;
      readonly headers: OutgoingHttpHeaders;
      readonly body: Buffer;
    }
  /** `body` is `null` when the stream itself has said that it failed: the client has seen it. */
  | { readonly kind: 'events'; readonly status: number; readonly body: JsonObject | null }
  | { readonly kind: 'error'; readonly error: GatewayError; readonly details: ErrorDetails };

interface StreamHead {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly framing: StreamFraming;
}

/**
 * The client's side of a call of several rounds. Each round's answer is kept here, and the client gets one. Of rounds
 * that are streamed it sees at once what a {@link ShownStream} lets it see. Its own head goes out with the first of
 * that: until then a failure, of whatever round, is an answer with a status of its own.
 */
export class RoundAnswer extends ClientAnswer {
  readonly #left = new AbortController();
  #keeps = true;
  #kept: Kept | null = null;
  #shown: ShownStream | null = null;
  #head: StreamHead | null = null;
  #isOpen = false;
  #attemptsBefore = 0;
  #keepAlive: NodeJS.Timeout | null = null;
  #wasQuiet = false;

  constructor(req: GatewayRequest, res: GatewayResponse, endOfTurn: EndOfTurn) {
    super(req, res, endOfTurn);
    res.on('close', () => {
      clearInterval(this.#keepAlive ?? undefined);
      this.#left.abort();
    });
  }

  /** Aborted when the client is gone, or has its answer. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** That of the round that was kept last. */
  override get status(): number {
    if (this.gone || this.#kept === null) return super.status;
    return this.#kept.kind === 'error' ? this.#kept.error.status : this.#kept.status;
  }

  protected override get attemptsInAll(): number {
    return this.#attemptsBefore + this.attempts;
  }

  /** A round begins: a call of its own, with attempts of its own. */
  beginRound(): void {
    this.#attemptsBefore += this.attempts;
    this.attempts = 0;
    this.firstByteMs = null;
  }

  /** The client wants a stream: this of it. */
  show(shown: ShownStream): void {
    this.#shown = shown;
  }

  /** From now on a client that gets a stream hears something at least that often. Milliseconds. */
  keepAwake(everyMs: number): void {
    if (this.#shown === null || this.gone) return;
    this.#keepAlive ??= setInterval(() => this.#sayIfQuiet(), everyMs);
  }

  override json(status: number, headers: OutgoingHttpHeaders, body: Buffer): void {
    if (this.#keeps) this.#keep({ kind: 'json', status, headers, body });
    else super.json(status, headers, body);
  }

  override openStream(status: number, headers: OutgoingHttpHeaders, framing: StreamFraming): void {
    if (this.#shown === null) {
      super.openStream(status, headers, framing);
      return;
    }
    this.firstByteMs ??= this.elapsedMs();
    this.#head = { status, headers, framing };
    this.#shown.begin();
  }

  override write(events: Buffer): boolean {
    return this.#shown === null ? super.write(events) : this.#send(this.#shown.take(events));
  }

  override end(events: Buffer): void {
    if (this.#shown === null) {
      super.end(events);
      return;
    }
    this.#send(this.#shown.take(events));
    this.#keep({ kind: 'events', status: this.#head?.status ?? 200, body: this.#shown.said() });
  }

  override error(error: GatewayError, details: ErrorDetails = {}): void {
    if (this.#keeps) this.#keep({ kind: 'error', error, details });
    else super.error(error, details);
  }

  /** From now on the client gets what comes. */
  passOn(): void {
    this.#keeps = false;
    this.#kept = null;
    this.#shown = null;
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
    else if (kept.kind === 'error') super.error(kept.error, kept.details);
    else super.end(NOTHING);
  }

  /** Answers the client with a body that has been made of the rounds'; of a stream, with what is not out yet. */
  finish(kept: Kept, body: JsonObject): void {
    if (kept.kind === 'json') super.json(kept.status, kept.headers, Buffer.from(JSON.stringify(body)));
    if (this.#shown === null) return;
    this.#open();
    super.end(this.#shown.end(body));
  }

  #send(events: Buffer | null): boolean {
    if (events === null) return true;
    this.#wasQuiet = false;
    this.#open();
    return super.write(events);
  }

  #open(): void {
    if (this.#isOpen || this.#head === null) return;
    const { status, headers, framing } = this.#head;
    super.openStream(status, headers, framing);
    this.#isOpen = true;
  }

  #sayIfQuiet(): void {
    if (this.#wasQuiet) this.#send(this.#head?.framing.keepAlive ?? null);
    this.#wasQuiet = true;
  }

  #keep(kept: Kept): void {
    this.firstByteMs ??= this.elapsedMs();
    this.#kept = kept;
  }
}

const NOTHING = Buffer.alloc(0);
