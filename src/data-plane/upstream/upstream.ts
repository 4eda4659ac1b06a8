import type { IncomingHttpHeaders } from 'node:http';
import type { LlmRequest } from '../../plugin-api/llm.ts';
import type { RequestBody } from '../request-body.ts';
import type { Surface } from '../surface/surface.ts';
import type { Attempt } from './attempt.ts';
import type { Redact } from './redact.ts';

/** What an upstream needs of a call. */
export interface UpstreamCall {
  readonly id: string;
  readonly surface: Surface;
  readonly body: RequestBody;
  readonly clientHeaders: IncomingHttpHeaders;
  /** The call as plugins see it; made when it is first asked for. */
  readonly request: LlmRequest;
}

/** Where attempts at one deployment are sent. */
export interface Upstream {
  readonly redact: Redact;
  /** Whether calls of this surface can be sent there. */
  serves(surface: Surface): boolean;
  /** Starts an attempt; how it goes on is told to `attempt`. Never throws. */
  send(call: UpstreamCall, attempt: Attempt): void;
}
