import type { UpstreamFailure } from './failure.ts';
import type { AnswerHeaders } from './headers.ts';
import type { JsonAnswer } from './json-answer.ts';

/** Where a streamed answer goes. Of events it gets whole ones only, up to the one that ends the stream. */
export interface EventSink {
  /** The stream begins; from here on there is no other attempt. */
  open(status: number, headers: AnswerHeaders): void;
  /** @returns false when no more may come until the attempt is resumed */
  write(events: Buffer): boolean;
  end(events: Buffer): void;
  /** The stream broke before its end. */
  fail(failure: UpstreamFailure): void;
  /** The stream was aborted from our side. */
  stop(): void;
}

/** How an attempt ended, or that its stream has begun. */
export type AttemptOutcome =
  | WholeAnswer
  | { readonly kind: 'streaming' }
  | { readonly kind: 'failed'; readonly failure: UpstreamFailure }
  /** Aborted from our side: the client is gone. */
  | { readonly kind: 'aborted' };

/** An answer that is complete in memory. */
export type WholeAnswer =
  | JsonAnswer
  /** A stream up to its end. */
  | {
      readonly kind: 'events';
      readonly status: number;
      readonly headers: AnswerHeaders;
      readonly body: Buffer;
    };
