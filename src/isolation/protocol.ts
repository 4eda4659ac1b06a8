import type { RouteContribution } from '../contributions.ts';
import type { CopiedFrom } from '../discovery/snapshot-resolution.ts';
import type { PluginCandidate, ResolvedMetadata } from '../discovery/types.ts';
import type { PluginCapability } from '../plugin-api/capability.ts';
import type { LlmHooks, LlmRequest } from '../plugin-api/llm.ts';
import type { LlmDelta, LlmEvent } from '../plugin-api/llm-event.ts';
import type { ModelInfo } from '../plugin-api/models.ts';
import type { ProviderDeployment } from '../plugin-api/provider.ts';
import type { PackedBytes } from './channel/bytes.ts';

/** The names of `LlmHooks`. */
export type HookName = keyof LlmHooks;

/** Methods of a plugin that are called on it, and may be missing. */
export type OptionalMethod = 'healthCheck' | 'exportState' | 'importState';

/** What `load` takes in the plugin's process. */
export interface LoadOrder {
  readonly candidate: PluginCandidate;
  readonly copied: CopiedFrom | null;
}

/** What the plugin's process tells of the plugin that it has imported. */
export interface LoadReport {
  readonly metadata: ResolvedMetadata;
  /** Which of the methods it has that it may leave out. */
  readonly has: readonly OptionalMethod[];
}

/** What `startup` takes in the plugin's process. */
export interface StartOrder {
  readonly name: string;
  readonly declared: readonly PluginCapability[] | null;
  readonly allowed: readonly PluginCapability[] | null;
  readonly failClosed: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly models: readonly ModelInfo[];
  readonly logLevel: string;
  /** Whether the log shows stacks and causes. */
  readonly debug: boolean;
}

/** What a plugin has registered, as its process tells it. Contributions are known by their place in these lists. */
export interface Description {
  readonly routes: readonly { readonly method: RouteContribution['method']; readonly path: string }[];
  /** Handlers that follow each other on the same path are one entry: one crossing per request. */
  readonly middleware: readonly { readonly path: string | readonly string[] | null }[];
  /** The hooks that any of the plugin's registrations has. */
  readonly hooks: readonly HookName[];
  readonly strategies: readonly { readonly name: string; readonly observes: boolean }[];
  readonly toolRuntimes: number;
  readonly evaluators: readonly {
    readonly name: string;
    readonly mode: 'block' | 'observe';
    readonly input: boolean;
    readonly output: boolean;
    readonly window?: number | 'all';
  }[];
  readonly exporters: readonly { readonly name: string; readonly flushes: boolean }[];
  readonly authProviders: readonly { readonly name: string; readonly keepsAccounts: boolean }[];
  readonly providers: readonly {
    readonly name: string;
    readonly chat: boolean;
    readonly languageModel: boolean;
    readonly embeddingModel: boolean;
  }[];
  readonly storageBackend: { readonly closes: boolean; readonly shared: boolean } | null;
}

/** A request as a handler in the plugin's process sees it. */
export interface CrossingRequest {
  readonly id: string;
  readonly method: string;
  readonly url: string;
  readonly originalUrl: string;
  readonly baseUrl: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly httpVersion: string;
  readonly ip: string;
  readonly encrypted: boolean;
  readonly identity: unknown;
  /** Headers that the answer has already. */
  readonly answer: Readonly<Record<string, number | string | string[]>>;
  readonly status: number;
  /** Of the status, where handlers before have set one. */
  readonly message?: string | undefined;
  /** A body that has been read already. */
  readonly body?: CrossingBody | undefined;
  /** A body that nobody has read, but that is here as a whole. */
  readonly unread?: PackedBytes | undefined;
  /** The stream by which the body comes when it is asked for; `null`: there is none on the wire, or it is `unread`. */
  readonly stream: number | null;
  /** The stream by which the answer of others comes when middleware has wrapped it, or its head when it listens. */
  readonly relay: number;
}

/** `req.body` as it crosses: JSON, or bytes. */
export type CrossingBody = { readonly json: unknown } | { readonly base64: string };

/** The head of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly message: string;
  /** Name and value, one after the other, as on the wire. */
  readonly headers: readonly string[];
}

/** The head of an answer whose body comes after it. */
export interface CrossingHead extends AnswerHead {
  /** The stream that the body comes by. */
  readonly stream: number;
}

/** An answer that had ended before anything of it left. */
export interface WholeAnswer extends AnswerHead {
  readonly body: PackedBytes;
}

/** An answer before the answer: `103 Early Hints`. */
export interface InterimAnswer {
  readonly status: number;
  /** Name and value, one after the other, as on the wire. */
  readonly headers: readonly string[];
}

/** What became of a request: handed on, answered in one piece, or (neither) answered by a head and a stream. */
export interface HttpOutcome {
  readonly next?: HandedOn;
  readonly answer?: WholeAnswer;
}

/** The head of an answer of others, for middleware that has wrapped it or listens: a line of JSON before the body. */
export interface RelayedHead {
  readonly status: number;
  readonly message: string;
  readonly headers: Readonly<Record<string, number | string | string[]>>;
  /** The body came with the head, in one piece. */
  readonly whole: boolean;
  /** `writeHead` or `flushHeaders` was called. */
  readonly explicit: boolean;
}

/** What a handler did to the request before it handed on; what is left out did not change. */
export interface HandedOn {
  readonly url?: string;
  readonly method?: string;
  readonly setHeaders?: Readonly<Record<string, string | string[]>>;
  readonly removedHeaders?: readonly string[];
  readonly body?: CrossingBody;
  readonly status?: number;
  /** Of the status. */
  readonly message?: string;
  /** Headers of the answer. */
  readonly setAnswer?: Readonly<Record<string, number | string | string[]>>;
  readonly removedAnswer?: readonly string[];
  /** It listens on the request or the response: it is to be told how the answer of others ended. */
  readonly listens?: boolean;
}

/** An LLM request: whole when it crosses for the first time, from then on its number. */
export interface CrossingLlmRequest {
  readonly ref: number;
  readonly request?: LlmFields;
}

/** What of an LLM request crosses: its text is put together from its body. */
export type LlmFields = Omit<LlmRequest, 'signal' | 'text'>;

/** Code of the error for a number that is not known (any more). */
export const UNKNOWN_REQUEST = 'isolation_unknown_request';

/** What hooks have made of what they were given. `undefined`: nothing. */
export interface HookOutcome {
  readonly body?: Readonly<Record<string, unknown>>;
  readonly response?: Readonly<Record<string, unknown>>;
  /** `onChunk`: what goes on in place of the event. */
  readonly events?: readonly (LlmEvent | LlmDelta)[];
}

/** A deployment for its provider. The key crosses as text: it is for the plugin to use. */
export type CrossingDeployment = Omit<ProviderDeployment, 'apiKey'> & { readonly apiKey: string | null };
