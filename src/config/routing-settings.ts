import { z } from 'zod';
import { name, seconds, toMs, whole } from './fields.ts';
import type { ConfigFile } from './file.ts';
import { valueAt } from './plain.ts';
import { show } from './problems.ts';
import type { DeploymentConfig, FallbackConfig, RoutingConfig } from './types.ts';

/** The gateway's own strategy, which needs no plugin. */
export const DEFAULT_STRATEGY = 'simple-shuffle';

const LISTS = 'a list of mappings';
const NAMES = 'a list of model names';

const fallbackLists = z
  .array(z.record(z.string(), z.array(name, NAMES), 'a mapping of a model name to a list of them'), LISTS)
  .nullish();

/** What LiteLLM takes in both of its sections. */
const shared = {
  num_retries: whole('a whole number of at least 0', 0).nullish(),
  allowed_fails: whole('a whole number of at least 0', 0).nullish(),
  cooldown_time: seconds(0).nullish(),
  fallbacks: fallbackLists,
  context_window_fallbacks: fallbackLists,
  content_policy_fallbacks: fallbackLists,
  default_fallbacks: z.array(name, NAMES).nullish(),
};

const router = z.looseObject(
  {
    ...shared,
    routing_strategy: name.nullish(),
    timeout: seconds(0.001).nullish(),
    stream_timeout: seconds(0.001).nullish(),
  },
  'a mapping',
);

const litellm = z.looseObject({ ...shared, request_timeout: seconds(0.001).nullish() }, 'a mapping');

type Optional<T> = T | null | undefined;
type FallbackLists = Optional<readonly Readonly<Record<string, readonly string[]>>[]>;

/** What LiteLLM takes in both of its sections, as written. Times are in seconds. */
interface SharedSettings {
  readonly num_retries?: Optional<number>;
  readonly allowed_fails?: Optional<number>;
  readonly cooldown_time?: Optional<number>;
  readonly fallbacks?: FallbackLists;
  readonly context_window_fallbacks?: FallbackLists;
  readonly content_policy_fallbacks?: FallbackLists;
  readonly default_fallbacks?: Optional<readonly string[]>;
}

export interface RouterSettings extends SharedSettings {
  readonly routing_strategy?: Optional<string>;
  readonly timeout?: Optional<number>;
  readonly stream_timeout?: Optional<number>;
}

export interface LitellmSettings extends SharedSettings {
  readonly request_timeout?: Optional<number>;
}

/** `router_settings`. */
export const routerSettings: z.ZodType<RouterSettings> = router;
/** `litellm_settings`, as far as it is about routing. */
export const litellmSettings: z.ZodType<LitellmSettings> = litellm;

/** The keys of both that are understood. */
export const ROUTER_KEYS: readonly string[] = Object.keys(router.shape);
export const LITELLM_KEYS: readonly string[] = Object.keys(litellm.shape);

/** The deadlines of deployments that have none of their own. Milliseconds. */
export interface DefaultTimeouts {
  readonly timeoutMs: number | null;
  readonly streamTimeoutMs: number | null;
}

/** What both sections say together; `router_settings` wins. */
export function toRouting(router: RouterSettings, general: LitellmSettings): RoutingConfig {
  const lists = (key: 'fallbacks' | 'context_window_fallbacks' | 'content_policy_fallbacks') =>
    toFallbacks(router[key] ?? general[key]);
  return {
    strategy: router.routing_strategy ?? DEFAULT_STRATEGY,
    numRetries: router.num_retries ?? general.num_retries ?? 2,
    allowedFails: router.allowed_fails ?? general.allowed_fails ?? 3,
    cooldownMs: toMs(router.cooldown_time ?? general.cooldown_time) ?? 30_000,
    fallbacks: lists('fallbacks'),
    contextWindowFallbacks: lists('context_window_fallbacks'),
    contentPolicyFallbacks: lists('content_policy_fallbacks'),
    defaultFallbacks: router.default_fallbacks ?? general.default_fallbacks ?? [],
  };
}

export function toDefaultTimeouts(router: RouterSettings, general: LitellmSettings): DefaultTimeouts {
  return {
    timeoutMs: toMs(router.timeout ?? general.request_timeout),
    streamTimeoutMs: toMs(router.stream_timeout),
  };
}

/** A fallback of or to a model that nobody configured is most likely misspelt. */
export function findUnknownFallbacks(
  deployments: readonly DeploymentConfig[],
  routing: RoutingConfig,
  file: ConfigFile,
): string[] {
  const groups = new Set(deployments.map(({ group }) => group));
  const kinds = [
    ['fallbacks', namesIn(routing.fallbacks)],
    ['context_window_fallbacks', namesIn(routing.contextWindowFallbacks)],
    ['content_policy_fallbacks', namesIn(routing.contentPolicyFallbacks)],
    ['default_fallbacks', new Set(routing.defaultFallbacks)],
  ] as const;
  return kinds.flatMap(([key, named]) =>
    [...named.difference(groups)].map((group) => {
      const section =
        valueAt(file.root, ['router_settings', key]) == null ? 'litellm_settings' : 'router_settings';
      return `${file.locate([section, key])}: ${section}.${key}: no entry of model_list is named ${show(group)}`;
    }),
  );
}

function namesIn(fallbacks: readonly FallbackConfig[]): Set<string> {
  return new Set(fallbacks.flatMap(({ from, to }) => [from, ...to]));
}

function toFallbacks(lists: FallbackLists): FallbackConfig[] {
  return (lists ?? []).flatMap((mapping) => Object.entries(mapping).map(([from, to]) => ({ from, to })));
}
