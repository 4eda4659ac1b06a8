import type { AuthInfo, ServerContext } from '@modelcontextprotocol/server';
import { GatewayError } from '../errors.ts';
import type { ToolsPhase } from '../pipeline/types.ts';
import type { Identity } from '../plugin-api/auth.ts';
import type { RequestScope } from '../request-scope.ts';

type CallerFields = Pick<Caller, 'requestId' | 'scope' | 'identity' | 'tools' | 'gone' | 'onCall'>;

/**
 * One HTTP request as the handlers of MCP's methods see it. It travels through the SDK in the place of what an OAuth
 * check of the SDK's own would have found.
 */
export class Caller {
  readonly requestId: string;
  readonly scope: RequestScope | null;
  readonly identity: Identity | null;
  /** The tools of the pipeline that the request runs through. */
  readonly tools: ToolsPhase;
  /** Aborted when the answer is over: complete, or the client has gone. */
  readonly gone: AbortSignal;
  /** To be called when a tool is: its answer should go out before the gateway stops. */
  readonly onCall: () => void;

  constructor({ requestId, scope, identity, tools, gone, onCall }: CallerFields) {
    this.requestId = requestId;
    this.scope = scope;
    this.identity = identity;
    this.tools = tools;
    this.gone = gone;
    this.onCall = onCall;
  }

  /** There is no token in it: authentication is over when a request comes here. */
  toAuthInfo(): AuthInfo {
    return { token: '', clientId: this.identity?.id ?? '', scopes: [], extra: { caller: this } };
  }

  /** @throws GatewayError `internal_error`: without a caller nobody knows what is allowed */
  static of({ http }: Pick<ServerContext, 'http'>): Caller {
    const caller = http?.authInfo?.extra?.caller;
    if (caller instanceof Caller) return caller;
    throw new GatewayError('internal_error', 'The request has lost its caller');
  }
}
