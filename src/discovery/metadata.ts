import { PluginLoadError, PluginSecurityError } from '../errors.ts';
import { reasonOf } from './import-failure.ts';
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
import type { PluginManifest, ResolvedMetadata } from './types.ts';

/** Where a plugin object came from. */
export interface MetadataOrigin {
  readonly specifier: string;
  /** Of the plugin's class: a legacy plugin is called after it. */
  readonly className: string;
  readonly manifest: PluginManifest | null;
}

/**
 * A plugin's metadata with all defaults filled in, from its code and its manifest.
 *
 * Without a manifest the code says it all; a plugin without `metadata` is a legacy one, called after its class. With a
 * manifest, that is the truth and the code fills in what it leaves open: the operator's policy was applied to the
 * manifest, before any code ran. Sources: the plugin document, headings "Plugin Metadata" and "Backwards
 * Compatibility".
 *
 * @throws PluginLoadError `plugin_load`: the metadata cannot be read, or a field is wrong
 * @throws PluginSecurityError `plugin_security`: the code asks for more than the manifest says
 */
export function resolveMetadata(plugin: object, origin: MetadataOrigin): ResolvedMetadata {
  const fromCode = readFields(plugin, origin);
  const { manifest } = origin;
  if (manifest === null) return withDefaults(fromCode, toPluginName(origin.className));
  refuseMoreThanManifest(fromCode, manifest.declared, origin.specifier);
  const fields = { ...fromCode, ...manifest.declared };
  const capabilities = fromCode.capabilities ?? manifest.declared.capabilities ?? null;
  return withDefaults({ ...fields, capabilities }, manifest.metadata.name);
}

/** A legacy plugin's own failure mode is part of its default metadata, so it wins over the global one. */
const LEGACY: MetadataFields = Object.freeze({ failureMode: 'continue' });

/** What the code wrote out. Getters and proxies may throw at every touch. */
function readFields(plugin: object, origin: MetadataOrigin): MetadataFields {
  const label = `Plugin "${origin.specifier}"`;
  let problems: readonly string[];
  try {
    const metadata: unknown = (plugin as { metadata?: unknown }).metadata;
    if (metadata === undefined) return origin.manifest === null ? LEGACY : {};
    const result = checkFields(metadata, origin.manifest === null);
    if (result.problems === null) return result.fields;
    problems = result.problems;
  } catch (thrown) {
    throw new PluginLoadError(`${label}: its metadata cannot be read: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
  throw new PluginLoadError(`${label}: ${problems.join('; ')}`);
}

function checkFields(metadata: unknown, nameRequired: boolean): ReturnType<typeof parseMetadataFields> {
  if (typeof metadata !== 'object' || metadata === null) {
    return { fields: null, problems: [`metadata is ${show(metadata)}, expected an object`] };
  }
  const raw = copyFields(metadata as Readonly<Record<string, unknown>>);
  const result = parseMetadataFields(nameRequired ? { name: null, ...raw } : raw, 'metadata');
  const problems = [...misplacedFields(Object.keys(metadata)), ...(result.problems ?? [])];
  return problems.length === 0 ? result : { fields: null, problems };
}

/** Read once, so that what was checked is what is used; `in` also finds the getters of a class. */
function copyFields(metadata: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const fields = METADATA_FIELDS.filter((field) => field in metadata).map((field) => [
    field,
    metadata[field],
  ]);
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined));
}

/** An author's own keys are welcome, but one that was meant to say something to the gateway may not be lost. */
function misplacedFields(keys: readonly string[]): string[] {
  return keys.flatMap((key) => {
    if (METADATA_FIELDS.includes(key)) return [];
    if (MANIFEST_ONLY_FIELDS.includes(key)) {
      return [`metadata.${key} is without effect in code, expected in the field "llmrouter" of package.json`];
    }
    const meant = misspelt(key, METADATA_FIELDS);
    return meant === null ? [] : [`metadata.${key} is not a field of metadata, expected ${meant}`];
  });
}

/** Whatever the manifest leaves open the code may say; where it speaks, the code may ask for the same or for less. */
function refuseMoreThanManifest(code: MetadataFields, manifest: MetadataFields, specifier: string): void {
  const excesses = [
    excess('name', code.name, manifest.name, (seen, said) => seen !== said),
    excess('capabilities', code.capabilities, manifest.capabilities, hasMore),
    excess('dependsOn', names(code.dependsOn), names(manifest.dependsOn), hasMore),
    excess(
      'failureMode',
      code.failureMode,
      manifest.failureMode,
      (seen, said) => seen === 'abort' && said !== 'abort',
    ),
    excess('failOpen', code.failOpen, manifest.failOpen, (seen, said) => seen && !said),
  ].filter((text) => text !== null);
  if (excesses.length === 0) return;
  throw new PluginSecurityError(
    'plugin_security',
    `Plugin "${specifier}" asks for more than its manifest says: ${excesses.join('; ')}`,
    { hint: 'Make the field "llmrouter" of its package.json and its metadata agree.' },
  );
}

function excess<T>(
  field: string,
  seen: T | undefined,
  said: T | undefined,
  isMore: (seen: T, said: T) => boolean,
): string | null {
  if (seen === undefined || said === undefined || !isMore(seen, said)) return null;
  return `metadata.${field} is ${show(seen)}, the manifest says ${show(said)}`;
}

function hasMore(seen: readonly string[] | null, said: readonly string[] | null): boolean {
  return said !== null && (seen ?? []).some((item) => !said.includes(item));
}

function names(dependencies: MetadataFields['dependsOn']): readonly string[] | undefined {
  return dependencies?.map((dependency) => dependency.name);
}
