import { isSet } from 'node:util/types';
import { distance } from 'fastest-levenshtein';
import semver from 'semver';
import { z } from 'zod';
import { PLUGIN_CAPABILITIES } from '../plugin-api/capability.ts';
import { FAILURE_MODES } from '../plugin-api/failure-mode.ts';
import type { ResolvedMetadata } from './types.ts';

/** The fields that a manifest or a plugin's code wrote out, checked. */
export type MetadataFields = Partial<ResolvedMetadata>;

/** What reading metadata came to: the fields, or one sentence for each that is wrong. */
export type FieldsResult =
  | { readonly fields: MetadataFields; readonly problems: null }
  | { readonly fields: null; readonly problems: readonly string[] };

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const NAME_RULE = 'letters, digits, ".", "_" and "-", beginning with a letter, digit or "_", at most 128';

const name = z.string().regex(NAME);
const dependency = z.strictObject({
  name,
  version: z
    .string()
    .refine((range) => semver.validRange(range) !== null)
    .default('*'),
  optional: z.boolean().default(false),
});

const schema = z.object({
  name: name.exactOptional(),
  version: z
    .string()
    .refine((version) => semver.valid(version) !== null)
    .exactOptional(),
  description: z.string().exactOptional(),
  capabilities: z
    .preprocess((value) => (isSet(value) ? [...value] : value), z.array(z.enum(PLUGIN_CAPABILITIES)))
    .transform((capabilities) => [...new Set(capabilities)])
    .exactOptional(),
  dependsOn: z
    .array(z.preprocess((value) => (typeof value === 'string' ? { name: value } : value), dependency))
    .exactOptional(),
  priority: z.int().exactOptional(),
  failureMode: z
    .preprocess(
      (value) => (typeof value === 'string' ? value.trim().toLowerCase() : value),
      z.enum(FAILURE_MODES),
    )
    .exactOptional(),
  isolation: z.enum(['inline', 'process']).exactOptional(),
  failClosed: z.boolean().exactOptional(),
  failOpen: z.boolean().exactOptional(),
  settings: z
    .record(z.string(), z.json())
    .transform((value, context) => {
      try {
        return JSON.parse(JSON.stringify(value)) as typeof value;
      } catch {
        context.addIssue({ code: 'custom', message: 'has a cycle' });
        return z.NEVER;
      }
    })
    .exactOptional(),
});

/** What each field has to be, for messages. Its keys are all fields that there are. */
const EXPECTED: Readonly<Record<keyof typeof schema.shape, string>> = {
  name: NAME_RULE,
  version: 'a semantic version such as 1.0.0',
  description: 'a string',
  capabilities: `an array or a Set of ${PLUGIN_CAPABILITIES.join(', ')}`,
  dependsOn: 'an array of plugin names or { name, version?: an npm range, optional?: boolean }',
  priority: 'an integer',
  failureMode: FAILURE_MODES.join(', '),
  isolation: 'inline or process',
  failClosed: 'true or false',
  failOpen: 'true or false',
  settings: 'an object, a JSON Schema',
};

/** The names of all fields. */
export const METADATA_FIELDS: readonly string[] = Object.keys(EXPECTED);

/** What only a manifest may say: it is needed before the code is imported. */
export const MANIFEST_ONLY_FIELDS: readonly string[] = ['entry', 'activation', 'permissions'];

/**
 * Checks raw metadata, of a manifest or of code. Fields that are left out stay out; fields that are unknown are not
 * looked at.
 *
 * @param where - what the messages call the object, for example `metadata`
 */
export function parseMetadataFields(raw: Readonly<Record<string, unknown>>, where: string): FieldsResult {
  const result = schema.safeParse(raw);
  if (result.success) return { fields: result.data, problems: null };
  const problems = result.error.issues.map((issue) => fieldProblem(raw, issue.path, where));
  return { fields: null, problems: [...new Set(problems)] };
}

/** Fills in the defaults. The result is deeply frozen. Source: the plugin document, heading "Plugin Metadata". */
export function withDefaults(fields: MetadataFields, fallbackName: string): ResolvedMetadata {
  return deepFreeze({
    name: fields.name ?? fallbackName,
    version: fields.version ?? '0.0.0',
    description: fields.description ?? '',
    capabilities: fields.capabilities ?? null,
    dependsOn: fields.dependsOn ?? [],
    priority: fields.priority ?? 1000,
    failureMode: fields.failureMode ?? null,
    isolation: fields.isolation ?? 'inline',
    failClosed: fields.failClosed ?? false,
    failOpen: fields.failOpen ?? false,
    settings: fields.settings ?? null,
  });
}

function deepFreeze<T extends object>(value: T): T {
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null) deepFreeze(child);
  }
  return Object.freeze(value);
}

function fieldProblem(raw: unknown, path: readonly PropertyKey[], where: string): string {
  const expected = EXPECTED[path[0] as keyof typeof EXPECTED];
  const seen = path.reduce<unknown>(step, raw);
  return `${where}${path.map(pathStep).join('')} is ${show(seen)}, expected ${expected}`;
}

/** Sets were read as arrays, and a bare name as `{ name }`; the way to the value seen is the same. */
function step(value: unknown, key: PropertyKey): unknown {
  if (isSet(value)) return [...value][Number(key)];
  return typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : value;
}

function pathStep(key: PropertyKey): string {
  return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
}

/** A value for a message: short, on one line, and never a surprise. */
export function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'function') return 'a function';
  try {
    const text =
      typeof value === 'object' || typeof value === 'string' ? JSON.stringify(value) : String(value);
    return text.length > 80 ? `${text.slice(0, 80)}…` : text;
  } catch {
    return `a value of type ${typeof value}`;
  }
}

/** A legal plugin name for what may be none, such as a class called `Plugin$1`. */
export function toPluginName(text: string): string {
  if (NAME.test(text)) return text;
  return (
    text
      .replace(/[^A-Za-z0-9._-]/g, '_')
      .replace(/^[^A-Za-z0-9_]/, '_')
      .slice(0, 128) || '_'
  );
}

/** The known name that `key` is a misspelling of: other case, `_` (`depends_on`), or a letter or two off. */
export function misspelt(key: string, known: readonly string[]): string | null {
  const plain = (text: string): string => text.replace(/[_-]/g, '').toLowerCase();
  const allowance = key.length < 6 ? 1 : 2;
  return known.find((name) => distance(plain(name), plain(key)) <= allowance) ?? null;
}
