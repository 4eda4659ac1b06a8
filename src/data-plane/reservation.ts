import type { GatewayError } from '../errors.ts';
import type { AccountsPhase, Reserved } from '../pipeline/types.ts';
import type { UsageOutcome } from '../plugin-api/auth.ts';
import type { LlmUsage } from '../plugin-api/llm.ts';
import type { Candidate } from '../plugin-api/routing.ts';
import type { Call } from './call.ts';
import type { JsonObject } from './json-value.ts';
import { mayUse } from './models.ts';
import type { Group } from './routing/group.ts';
import type { Router } from './routing/router.ts';

/** How the APIs call the most tokens that an answer may have. */
const OUTPUT_LIMITS = ['max_completion_tokens', 'max_tokens', 'max_output_tokens'] as const;

/**
 * Sets aside what a call may use at most, with the provider of its identity. A model that nobody has costs nothing: the
 * router will say so.
 *
 * @throws GatewayError `auth_unavailable`; else what the provider says, as `rate_limit_exceeded`
 */
export async function reserve(call: Call, accounts: AccountsPhase, router: Router): Promise<void> {
  const { id, identity, surface, body, scope } = call;
  const group = router.group(body.model);
  // Counting tokens uses none.
  if (identity === null || group === undefined || surface.name === 'messages.count_tokens') return;
  const candidates = candidatesOf(call, group, router);
  call.reserved = await accounts.reserve(
    Object.freeze({
      id,
      identity,
      surface: surface.name,
      model: body.model,
      inputBytes: body.length,
      maxOutputTokens: surface.stream === null ? 0 : outputLimit(body.guarded()),
      inputCostPerToken: dearest(candidates.map(({ inputCostPerToken }) => inputCostPerToken)),
      outputCostPerToken: dearest(candidates.map(({ outputCostPerToken }) => outputCostPerToken)),
    }),
    scope,
  );
  if (call.reserved !== null) call.answer.advise(call.reserved.headers);
}

/** Tells what a call has used in the end. */
export function settle(call: Call, reserved: Reserved, failure: GatewayError | null): void {
  reserved.settle(Object.freeze(outcomeOf(call, failure)));
}

/**
 * An upstream that was too slow, a stream that broke and a client that left leave the usage open: it may all have been
 * used.
 */
function outcomeOf(call: Call, failure: GatewayError | null): UsageOutcome {
  const { answered, answer, usage, candidate } = call;
  const wasSlow = failure?.code === 'upstream_timeout';
  const hasLeft = answer.gone && answer.attempts > 0;
  if (!answered && !wasSlow && !hasLeft) return { answered: false, usage: null, costUsd: null };
  if (!answered || hasLeft || failure !== null || usage === null) {
    return { answered: true, usage: null, costUsd: null };
  }
  return { answered: true, usage, costUsd: candidate === null ? null : costOf(candidate, usage) };
}

/** Every deployment that may answer: the group's, and those of the groups that it falls back to. */
function candidatesOf({ identity }: Call, group: Group, router: Router): readonly Candidate[] {
  const fallbacks = Object.values(group.fallbacks)
    .flat()
    .filter((name) => mayUse(identity, name))
    .flatMap((name) => router.group(name)?.candidates ?? []);
  return [...group.candidates, ...fallbacks];
}

function dearest(prices: readonly (number | null)[]): number | null {
  return prices.reduce<number | null>(
    (highest, price) => (highest === null || price === null ? null : Math.max(highest, price)),
    0,
  );
}

/** Tokens of all answers together. `n` and `best_of` ask for several. */
function outputLimit(body: JsonObject): number | null {
  const limits = OUTPUT_LIMITS.map((name) => body[name]).filter(isCount);
  if (limits.length === 0) return null;
  return Math.max(...limits) * Math.max(1, ...[body.n, body.best_of].filter(isCount));
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function costOf({ inputCostPerToken, outputCostPerToken }: Candidate, usage: LlmUsage): number | null {
  if (inputCostPerToken === null || outputCostPerToken === null) return null;
  return usage.promptTokens * inputCostPerToken + usage.completionTokens * outputCostPerToken;
}
