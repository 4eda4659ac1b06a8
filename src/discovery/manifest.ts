import { basename, isAbsolute } from 'node:path';
import semver from 'semver';
import { z } from 'zod';
import { PluginLoadError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import {
  MANIFEST_ONLY_FIELDS,
  METADATA_FIELDS,
  type MetadataFields,
  misspelt,
  parseMetadataFields,
  show,
  toPluginName,
  withDefaults,
} from './metadata-fields.ts';
import { type PackageJson, packageName } from './package-json.ts';
import type { PluginManifest } from './types.ts';

const ENVIRONMENT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** What the file names: see {@link Activation}. */
const NAMED_IN_FILE = /^(provider|strategy):[^\s:]+$/;

const variables = z.array(z.string().regex(ENVIRONMENT_NAME));
const conditions = z.array(z.union([z.string().regex(ENVIRONMENT_NAME), z.string().regex(NAMED_IN_FILE)]));
const activationSchema = z.strictObject({ env: variables.default([]), anyOf: conditions.min(1).optional() });

const paths = z.array(z.string().refine((path) => path === '*' || isAbsolute(path))).default([]);
const permissionsSchema = z.strictObject({
  net: z.array(z.string().min(1)).default([]),
  fs: z.strictObject({ read: paths, write: paths }).default({ read: [], write: [] }),
});

const FIELDS = [...METADATA_FIELDS, ...MANIFEST_ONLY_FIELDS];

/**
 * The manifest in a package.json, checked; `null` when there is none. A field that this gateway does not know is
 * refused: it may be a limit that the author relies on.
 *
 * @throws PluginLoadError `plugin_load`, with every field that is wrong, the value seen and the value expected
 */
export function parseManifest(pkg: PackageJson, specifier: string): PluginManifest | null {
  const raw = pkg.llmrouter;
  if (raw === undefined) return null;
  if (!isRecord(raw)) throw manifestError(specifier, [`llmrouter is ${show(raw)}, expected an object`]);
  const parsed = parseMetadataFields(raw, 'llmrouter');
  const activation = activationSchema.safeParse(raw.activation ?? {});
  const permissions = permissionsSchema.safeParse(raw.permissions ?? {});
  const problems = [
    ...unknownFields(raw),
    ...(parsed.problems ?? []),
    ...entryProblem(raw.entry),
    ...(activation.success
      ? []
      : [
          `llmrouter.activation is ${show(raw.activation)}, expected { "env": [names of environment variables], "anyOf": [the same, "provider:<name>" or "strategy:<name>"] }`,
        ]),
    ...(permissions.success
      ? []
      : [
          `llmrouter.permissions is ${show(raw.permissions)}, expected { "net": [hosts], "fs": { "read": [absolute paths, or "*"], "write": [the same] } }`,
        ]),
    ...versionProblem(pkg.version),
  ];
  if (problems.length > 0 || parsed.fields === null || !activation.success || !permissions.success) {
    throw manifestError(specifier, problems);
  }
  return Object.freeze({
    ...manifest(pkg, raw, parsed.fields, activation.data, specifier),
    permissions: deepFreeze(permissions.data),
  });
}

function manifest(
  pkg: PackageJson,
  raw: PackageJson,
  fields: MetadataFields,
  { env, anyOf }: z.infer<typeof activationSchema>,
  specifier: string,
): Omit<PluginManifest, 'permissions'> {
  const version = typeof pkg.version === 'string' ? { version: pkg.version } : {};
  const description = typeof pkg.description === 'string' ? { description: pkg.description } : {};
  const declared = Object.freeze({ ...version, ...description, ...fields });
  return {
    packageName: packageName(pkg),
    entry: typeof raw.entry === 'string' ? raw.entry : null,
    declared,
    metadata: withDefaults(declared, toPluginName(basename(packageName(pkg) ?? specifier))),
    activation: deepFreeze(anyOf === undefined ? { env } : { env, anyOf }),
  };
}

function unknownFields(raw: PackageJson): string[] {
  return Object.keys(raw)
    .filter((key) => !FIELDS.includes(key))
    .map((key) => {
      const meant = misspelt(key, FIELDS);
      return `llmrouter.${key} is not a field of a manifest, expected ${meant ?? `one of ${FIELDS.join(', ')}`}`;
    });
}

function entryProblem(entry: unknown): string[] {
  if (entry === undefined || (typeof entry === 'string' && entry !== '')) return [];
  return [`llmrouter.entry is ${show(entry)}, expected a path inside the plugin's folder`];
}

function versionProblem(version: unknown): string[] {
  if (version === undefined || (typeof version === 'string' && semver.valid(version) !== null)) return [];
  return [`version is ${show(version)}, expected a semantic version such as 1.0.0`];
}

function manifestError(specifier: string, problems: readonly string[]): PluginLoadError {
  return new PluginLoadError(`Plugin "${specifier}": in its package.json, ${problems.join('; ')}`);
}

function isRecord(value: unknown): value is PackageJson {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
