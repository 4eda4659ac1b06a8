import type { IncomingHttpHeaders } from 'node:http';
import type { ResponseController } from '../../http1/types.ts';
import type { LlmRequest } from '../../plugin-api/llm.ts';
import type { TraceContext } from '../../plugin-api/trace.ts';
import type { RequestScope } from '../../request-scope.ts';
import type { RequestBody } from '../request-body.ts';
import type { Surface } from '../surface/surface.ts';
import type { UpstreamFailure } from './failure.ts';
import type { AnswerHeaders } from './headers.ts';
import type { Redact } from './redact.ts';

/** What an upstream needs of a call. */
export interface UpstreamCall {
  readonly id: string;
  readonly scope: RequestScope | null;
  readonly surface: Surface;
  readonly body: RequestBody;
  readonly clientHeaders: IncomingHttpHeaders;
  /** Passed on in place of what the client has sent. */
  readonly trace: TraceContext | null;
  /** The call as plugins see it; made when it is first asked for. */
  readonly request: LlmRequest;
}

/** Takes an upstream's answer as it comes. It is what the HTTP client writes to, so that nothing stands in between. */
export interface AnswerHandler {
  onRequestStart(controller: ResponseController): void;
  onResponseStart(controller: ResponseController, status: number, headers: AnswerHeaders): void;
  onResponseData(controller: ResponseController, chunk: Buffer): void;
  onResponseEnd(controller: ResponseController): void;
  onResponseError(controller: ResponseController, error: Error): void;
  /** The attempt failed outside of HTTP. */
  reject(failure: UpstreamFailure): void;
}

/** Where attempts at one deployment are sent. */
export interface Upstream {
  readonly redact: Redact;
  /** Whether calls of this surface can be sent there. */
  serves(surface: Surface): boolean;
  /** Starts an attempt; how it goes on is told to `handler`. Never throws. */
  send(call: UpstreamCall, handler: AnswerHandler): void;
}
