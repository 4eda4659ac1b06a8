import type { Identity } from 'routeiq-gateway/plugin';

/** Length of a budget's period; `total` never begins anew. */
export const PERIODS = ['day', 'week', 'month', 'total'] as const;
export type Period = (typeof PERIODS)[number];

/** The most that may be spent within a period. */
export interface Budget {
  readonly usd: number;
  readonly period: Period;
}

/** What a key may use. `null`: without a limit. */
export interface Limits {
  /** LLM calls per minute. */
  readonly rpm: number | null;
  /** Tokens per minute, of requests and answers together. */
  readonly tpm: number | null;
  readonly budget: Budget | null;
}

/** What is said of a key when it is made. `null`: all, or for ever. */
export interface KeyTerms extends Limits {
  readonly name: string | null;
  readonly models: readonly string[] | null;
  readonly scopes: readonly string[] | null;
  readonly tools: readonly string[] | null;
  /** Epoch milliseconds. */
  readonly expiresAt: number | null;
}

/** A digest by which a key is recognised. */
export interface KeyDigest {
  readonly sha256: string;
  /** Epoch milliseconds; `null`: as long as the key. */
  readonly until: number | null;
}

/** A key as it is kept. */
export interface VirtualKey extends KeyTerms {
  readonly id: string;
  /** Epoch milliseconds; `null` for keys of the file. */
  readonly createdAt: number | null;
  /** The current one; after a rotation the one before as well, for a while. */
  readonly digests: readonly KeyDigest[];
}

/** The caller, for the rest of the gateway. Its `limits` come back with every call to account for. */
export function toIdentity({ id, name, models, scopes, tools, rpm, tpm, budget }: VirtualKey): Identity {
  return {
    id,
    ...(name === null ? {} : { name }),
    ...(models === null ? {} : { models }),
    ...(scopes === null ? {} : { scopes }),
    ...(tools === null ? {} : { tools }),
    limits: { rpm, tpm, budget },
  };
}

/** A key for operators. Digests stay where they are. */
export function toView(key: VirtualKey): Readonly<Record<string, unknown>> {
  const { digests, createdAt, expiresAt, ...terms } = key;
  const retired = digests.flatMap(({ until }) => (until === null ? [] : [until]));
  return {
    ...terms,
    createdAt: toDate(createdAt),
    expiresAt: toDate(expiresAt),
    previousKeyUntil: toDate(retired.length === 0 ? null : Math.max(...retired)),
    source: createdAt === null ? 'file' : 'api',
  };
}

function toDate(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
