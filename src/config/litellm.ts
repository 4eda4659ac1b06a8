import { z } from 'zod';
import { RESERVED_FIELDS } from '../http1/request-head.ts';
import { likely } from './env-name.ts';
import { amount, name, seconds, toMs, whole } from './fields.ts';
import type { ConfigFile } from './file.ts';
import { copyPlain, isRecord, own, type Path, valueAt } from './plain.ts';
import { isSecretName, type Report, show, showHidden, showPath, showUrl } from './problems.ts';
import { type References, referenceName } from './references.ts';
import {
  type DefaultTimeouts,
  findUnknownFallbacks,
  LITELLM_KEYS,
  litellmSettings,
  ROUTER_KEYS,
  routerSettings,
  toDefaultTimeouts,
  toRouting,
} from './routing-settings.ts';
import { Secret } from './secret.ts';
import type { DeploymentConfig, RoutingConfig } from './types.ts';

const MODEL = 'provider/model, for example openai/gpt-4o';
const API_KEY = 'a text of printable ASCII characters without blanks';
const API_BASE = 'an http or https URL without user info, query and fragment';
const API_VERSION = 'a version in quotes, for example "2024-10-21"';
const HEADERS = 'a mapping of header names to texts';

const apiKey = z
  .string(API_KEY)
  .trim()
  .regex(/^[\x21-\x7e]*$/, API_KEY)
  .transform((key) => (key === '' ? null : new Secret(key)));

const apiBase = z
  .string(API_BASE)
  .trim()
  .refine((base) => base === '' || isApiBase(base), API_BASE)
  .transform((base) => (base === '' ? null : base.replace(/\/+$/, '')));

const apiVersion = z
  .string(API_VERSION)
  .trim()
  .regex(/^[\w.-]+$/, API_VERSION);

const headers = z.record(
  z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, HEADERS)
    .refine(isSendable, 'headers that do not belong to the connection or to the framing of the body'),
  z
    .union([z.string(), z.number(), z.boolean()], HEADERS)
    .transform(String)
    .refine((value) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value), 'a text that a header can carry'),
  // A name that is wrong says itself what is wrong with it.
  { error: (issue) => (issue.code === 'invalid_key' ? issue.issues[0]?.message : HEADERS) },
);

const cost = amount('a number of at least 0', 0);

const params = z.looseObject(
  {
    model: z
      .string(MODEL)
      .trim()
      .regex(/^[^/\s]+(\/[^/\s]\S*)?$/, MODEL),
    api_key: apiKey.nullish(),
    api_base: apiBase.nullish(),
    api_version: apiVersion.nullish(),
    headers: headers.nullish(),
    extra_headers: headers.nullish(),
    weight: amount('a number of at least 0', 0).nullish(),
    rpm: whole('a whole number of at least 1', 1).nullish(),
    tpm: whole('a whole number of at least 1', 1).nullish(),
    order: whole('a whole number of at least 0', 0).nullish(),
    timeout: seconds(0.001).nullish(),
    stream_timeout: seconds(0.001).nullish(),
    input_cost_per_token: cost.nullish(),
    output_cost_per_token: cost.nullish(),
    use_chat_completions_api: z.boolean('true or false').nullish(),
  },
  'a mapping with model',
);

const info = z.looseObject(
  { input_cost_per_token: cost.nullish(), output_cost_per_token: cost.nullish() },
  'a mapping',
);

const entry = z.looseObject(
  { model_name: name, litellm_params: params, model_info: info.nullish() },
  'a mapping with model_name and litellm_params',
);

const root = z.looseObject({
  model_list: z.array(entry, 'a list').nullish(),
  router_settings: routerSettings.nullish(),
  litellm_settings: litellmSettings.nullish(),
});

/** Sections of LiteLLM's file of which the gateway takes little or nothing. */
const LITELLM_SECTIONS: readonly string[] = ['litellm_settings', 'general_settings', 'environment_variables'];

const ROOT_KEYS = [...Object.keys(root.shape), 'plugins'];

/** What the gateway takes over from a file in LiteLLM's shape. */
export interface LitellmConfig {
  readonly deployments: readonly DeploymentConfig[];
  readonly routing: RoutingConfig;
}

/**
 * Reads `model_list`, `router_settings` and what `litellm_settings` says of routing. Problems name the place and what
 * was expected; what LiteLLM knows and this gateway does not is a warning, never dropped in silence.
 */
export function readLitellm(file: ConfigFile | null, references: References, report: Report): LitellmConfig {
  if (file === null) return toConfig({});
  warnIgnored(file, report);
  const { model_list, router_settings, litellm_settings } = file.root;
  const given = { model_list, router_settings, litellm_settings };
  const parsed = root.safeParse(copyPlain(given, references.resolve));
  if (!parsed.success) {
    for (const issue of parsed.error.issues) reportIssue(issue, file, references, report);
    return toConfig({});
  }
  const config = toConfig(parsed.data);
  report.warnings.push(...findUnknownFallbacks(config.deployments, config.routing, file));
  return config;
}

/** Whether anybody reads what stands at `path`. A variable behind what is ignored may well be missing here. */
export function isRead([section, at, part, key]: Path): boolean {
  if (section === 'plugins') return true;
  if (section === 'router_settings') return ROUTER_KEYS.includes(String(at));
  if (section === 'litellm_settings') return LITELLM_KEYS.includes(String(at));
  if (section !== 'model_list') return false;
  if (part === 'litellm_params') return Object.hasOwn(params.shape, String(key));
  if (part === 'model_info') return Object.hasOwn(info.shape, String(key));
  return part === undefined || Object.hasOwn(entry.shape, String(part));
}

function toConfig(data: z.infer<typeof root>): LitellmConfig {
  const router = data.router_settings ?? {};
  const general = data.litellm_settings ?? {};
  const timeouts = toDefaultTimeouts(router, general);
  const sizes = new Map<string, number>();
  const deployments = (data.model_list ?? []).map((item) => {
    const index = sizes.get(item.model_name) ?? 0;
    sizes.set(item.model_name, index + 1);
    return toDeployment(item, index, timeouts);
  });
  return { deployments, routing: toRouting(router, general) };
}

function toDeployment(
  item: z.infer<typeof entry>,
  index: number,
  defaults: DefaultTimeouts,
): DeploymentConfig {
  const { litellm_params: given, model_info: costs } = item;
  const slash = given.model.indexOf('/');
  return {
    id: `${item.model_name}/${index}`,
    group: item.model_name,
    provider: slash < 0 ? providerOf(given.model) : given.model.slice(0, slash),
    model: given.model.slice(slash + 1),
    apiBase: given.api_base ?? null,
    apiKey: given.api_key ?? null,
    apiVersion: given.api_version ?? null,
    headers: lowerCased({ ...given.headers, ...given.extra_headers }),
    weight: given.weight ?? 1,
    rpm: given.rpm ?? null,
    tpm: given.tpm ?? null,
    order: given.order ?? null,
    timeoutMs: toMs(given.timeout) ?? defaults.timeoutMs,
    streamTimeoutMs: toMs(given.stream_timeout) ?? defaults.streamTimeoutMs,
    inputCostPerToken: costs?.input_cost_per_token ?? given.input_cost_per_token ?? null,
    outputCostPerToken: costs?.output_cost_per_token ?? given.output_cost_per_token ?? null,
    responsesOverChat: given.use_chat_completions_api ?? false,
  };
}

/** As in LiteLLM, a name without a provider says by itself whose model it is. */
function providerOf(model: string): string {
  return model.startsWith('claude') ? 'anthropic' : 'openai';
}

/** `host` may be another one than that of the address. */
function isSendable(name: string): boolean {
  const field = name.toLowerCase();
  return field === 'host' || !RESERVED_FIELDS.has(field);
}

// Two spellings of one header would be sent twice.
function lowerCased(given: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key.toLowerCase(), value]));
}

function isApiBase(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return false;
  return url.username === '' && url.password === '' && !/[\s\\?#]/.test(text);
}

/** Shows what the file says, never what a reference in it stands for. */
function reportIssue(
  issue: z.core.$ZodIssue,
  file: ConfigFile,
  references: References,
  report: Report,
): void {
  const seen = valueAt(file.root, issue.path);
  const reference = referenceName(seen);
  if (reference !== null && !references.values.has(reference)) return;
  const got = reference === null ? showAt(issue.path, seen) : `${show(seen)} (its value is not shown)`;
  report.problems.push(
    `${file.locate(issue.path)}: ${showPath(issue.path)}: got ${got}, expected ${issue.message}`,
  );
}

function showAt(path: readonly PropertyKey[], seen: unknown): string {
  if (path.at(-1) === 'api_base') return showUrl(seen);
  const hidden = path.some(
    (part) => typeof part === 'string' && (isSecretName(part) || /headers$/.test(part)),
  );
  return hidden ? showHidden(seen) : show(seen);
}

function warnIgnored(file: ConfigFile, report: Report): void {
  warnUnknownSections(file, report);
  const entries = own(file.root, 'model_list');
  for (const index of Array.isArray(entries) ? entries.keys() : []) {
    const path = ['model_list', index];
    warnWildcard(file, [...path, 'model_name'], report);
    warnUnknownKeys(file, path, Object.keys(entry.shape), report);
    warnUnknownKeys(file, [...path, 'litellm_params'], Object.keys(params.shape), report);
    warnUnknownKeys(file, [...path, 'model_info'], Object.keys(info.shape), report);
  }
  warnUnknownKeys(file, ['router_settings'], ROUTER_KEYS, report);
}

/** Each setting of a section that LiteLLM has and the gateway has not is named: an operator looks for that one. */
function warnUnknownSections(file: ConfigFile, report: Report): void {
  const sections = Object.entries(file.root).filter(([key]) => LITELLM_SECTIONS.includes(key));
  for (const [section, value] of sections) {
    if (!isRecord(value) || Object.keys(value).length === 0) warnIgnoredKey(file, [section], '', report);
    else
      for (const key of Object.keys(value).filter((each) => !isRead([section, each])))
        warnIgnoredKey(file, [section, key], whyItMatters(key), report);
  }
  warnUnknownKeys(file, [], [...ROOT_KEYS, ...LITELLM_SECTIONS], report);
}

function whyItMatters(key: string): string {
  return key === 'master_key' ? ': clients are NOT asked for this key' : '';
}

/** LiteLLM matches `*` against what clients ask for; here it would be a model that is called so. */
function warnWildcard(file: ConfigFile, path: Path, report: Report): void {
  const value = valueAt(file.root, path);
  if (typeof value !== 'string' || !value.includes('*')) return;
  report.warnings.push(
    `${file.locate(path)}: ${showPath(path)}: ${show(value)} is no pattern here: only clients that ask for a model of exactly this name get it`,
  );
}

function warnIgnoredKey(file: ConfigFile, path: Path, hint: string, report: Report): void {
  report.warnings.push(`${file.locate(path)}: ${showPath(path)}: not supported, ignored${hint}`);
}

function warnUnknownKeys(file: ConfigFile, path: Path, known: readonly string[], report: Report): void {
  const value = valueAt(file.root, path);
  if (!isRecord(value)) return;
  for (const key of Object.keys(value).filter((candidate) => !known.includes(candidate))) {
    const place = [...path, key];
    const guess = likely(key, known);
    warnIgnoredKey(file, place, guess === undefined ? '' : `; did you mean ${guess}?`, report);
  }
}
