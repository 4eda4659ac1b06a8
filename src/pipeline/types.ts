import type { EmbeddingModelV4, LanguageModelV4 } from '@ai-sdk/provider';
import type { RequestHandler } from 'express';
import type { AuthRequest, Identity, UsageEstimate, UsageOutcome } from '../plugin-api/auth.ts';
import type { MaskSpan } from '../plugin-api/evaluator.ts';
import type { CallRecord } from '../plugin-api/exporter.ts';
import type { LlmRequest, LlmRequestResult, LlmResponse } from '../plugin-api/llm.ts';
import type { LlmDelta, LlmEvent } from '../plugin-api/llm-event.ts';
import type { ProviderDeployment, ProviderResponse } from '../plugin-api/provider.ts';
import type { Candidate, RouteDecision, RouteLoad, RouteResult } from '../plugin-api/routing.ts';
import type { Storage } from '../plugin-api/storage.ts';
import type { Tool, ToolCall, ToolResult } from '../plugin-api/tools.ts';
import type { RequestScope } from '../request-scope.ts';

/** What each phase is told of the request besides what plugins see. */
type Scope = RequestScope | null;

/**
 * One generation of everything that plugins contribute, compiled from the bags of the plugins and replaced as a whole.
 * A phase that nobody takes part in is `null`, so that it costs one comparison. Every function is contained already:
 * it has an owner and a deadline, its result is checked, it fails open or closed as the table of docs/plugins.md says,
 * and it throws or rejects with a `GatewayError` (or an error with a 4xx `status`) only. `scope` is that of the request
 * which it is called for, `null` when there is none.
 */
export interface Pipeline {
  /** Counts up with every swap. */
  readonly generation: number;
  /**
   * Who asks. `null`: no auth provider, every request is anonymous. Throws, or rejects with, 401, 403 or 503
   * `auth_unavailable`.
   */
  readonly auth: ((request: AuthRequest, scope: Scope) => Identity | Promise<Identity>) | null;
  /** What callers may use. `null`: no auth provider keeps accounts. */
  readonly accounts: AccountsPhase | null;
  readonly middleware: MiddlewarePhase | null;
  /** Routes of all plugins as one handler that calls `next()` when none matches. */
  readonly routes: RequestHandler | null;
  readonly llm: LlmPhases;
  readonly strategies: ReadonlyMap<string, StrategyPhase>;
  readonly providers: ReadonlyMap<string, ProviderPhase>;
  readonly tools: ToolsPhase;
  /** Hands one finished call to the exporters, off the request's path. */
  readonly export: ((record: CallRecord) => void) | null;
  /** The store that plugins and the gateway share: a plugin's backend, else the embedded one. */
  readonly storage: Storage;
}

/** Express middleware of all plugins. */
export interface MiddlewarePhase {
  /** All of it, one after the other. */
  readonly handle: RequestHandler;
  /** False: none of it is for a request with this target, and there is no need to enter {@link handle}. */
  concerns(url: string): boolean;
}

/** The accounts that auth providers keep of what their callers use. */
export interface AccountsPhase {
  /**
   * Asks the provider that gave the identity. `null`: it has nothing to account for.
   *
   * Throws the provider's own 4xx, or 503 `auth_unavailable`.
   */
  reserve(estimate: UsageEstimate, scope: Scope): Promise<Reserved | null>;
}

export interface Reserved {
  readonly headers: Readonly<Record<string, string>>;
  /** Returns at once and never throws. */
  settle(outcome: UsageOutcome): void;
}

/** Hooks and evaluators, in load order. */
export interface LlmPhases {
  /** All `onRequest` hooks in turn. Resolves to the request to go on with, or to the answer that a hook gave. */
  readonly onRequest: ((request: LlmRequest, scope: Scope) => Promise<RequestOutcome>) | null;
  /** `input` of all evaluators. Resolves to their masks. Throws 400 `content_filter` or 503 `evaluator_unavailable`. */
  readonly evaluateInput:
    | ((request: LlmRequest, scope: Scope) => Promise<readonly MaskSpan[] | undefined>)
    | null;
  readonly onRoute: ((request: LlmRequest, route: RouteDecision, scope: Scope) => Promise<void>) | null;
  /** All `onChunk` hooks in turn. Resolves to what goes on in place of the event. */
  readonly onChunk:
    | ((request: LlmRequest, event: LlmEvent, scope: Scope) => Promise<readonly (LlmEvent | LlmDelta)[]>)
    | null;
  /** `output` of the `block` evaluators. Resolves and throws like {@link evaluateInput}. */
  readonly evaluateOutput:
    | ((request: LlmRequest, response: LlmResponse, scope: Scope) => Promise<readonly MaskSpan[] | undefined>)
    | null;
  /** How many characters of a stream those evaluators want held back: the widest of their windows. */
  readonly outputWindow: number;
  /** `output` of the `observe` evaluators. Returns at once, and runs none of their code before it does. */
  readonly observeOutput: ((request: LlmRequest, response: LlmResponse, scope: Scope) => void) | null;
  readonly onResponse:
    | ((request: LlmRequest, response: LlmResponse, scope: Scope) => Promise<LlmResponse>)
    | null;
  readonly onError: ((request: LlmRequest, error: Error, scope: Scope) => void) | null;
  /** Who must see every request. A surface whose requests it cannot see is refused. */
  readonly inputGuard: Guard | null;
  /** Who must see every answer; see {@link inputGuard}. */
  readonly outputGuard: Guard | null;
}

/** A contribution that must not be passed by. */
export interface Guard {
  readonly plugin: string;
  /** For messages: `evaluator "pii"`. */
  readonly what: string;
}

export type RequestOutcome =
  | { readonly request: LlmRequest; readonly response: null }
  | { readonly request: LlmRequest; readonly response: Readonly<Record<string, unknown>> };

/** Re-exported for the compiler of the phases. */
export type { LlmRequestResult };

export interface StrategyPhase {
  /**
   * `null`: the strategy failed or is quarantined, the default decides. Throws, or rejects with, `rate_limit_exceeded`
   * alone, when the strategy says that no candidate may be asked now.
   */
  select(
    request: LlmRequest,
    candidates: readonly Candidate[],
    load: RouteLoad,
    scope: Scope,
  ): Candidate | null | Promise<Candidate | null>;
  readonly observe: ((result: RouteResult, scope: Scope) => void) | null;
}

/**
 * A provider, contained. What it does not have is `null`. What an upstream has said through the AI SDK is thrown as the
 * SDK threw it; every failure of the plugin as `upstream_error` or `upstream_timeout`.
 */
export interface ProviderPhase {
  readonly chat:
    | ((request: LlmRequest, deployment: ProviderDeployment, scope: Scope) => Promise<ProviderResponse>)
    | null;
  /** Each call of the model's methods is contained too; a stream has its first part when it is there. */
  readonly languageModel: ((deployment: ProviderDeployment, scope: Scope) => Promise<LanguageModelV4>) | null;
  readonly embeddingModel:
    | ((deployment: ProviderDeployment, scope: Scope) => Promise<EmbeddingModelV4>)
    | null;
}

export interface ToolsPhase {
  /** The tools that the caller may use; `null`: all. */
  list(identity: Identity | null): Promise<readonly Tool[]>;
  /** `null`: there is no such tool, or the caller may not use it. */
  find(name: string, identity: Identity | null): Promise<Tool | null>;
  /** Never rejects: a failure is a result with `isError: true`. */
  call(
    name: string,
    args: Readonly<Record<string, unknown>>,
    call: ToolCall,
    scope: Scope,
  ): Promise<ToolResult>;
}
