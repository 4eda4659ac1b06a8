import { ConfigError } from '../errors.ts';
import type { PluginSettings } from '../plugin-api/context.ts';
import { coerceText, schemaTypes } from './coerce.ts';
import { likely, settingPrefix, toEnvName, toSettingKey } from './env-name.ts';
import { copyPlain, emptyRecord, isRecord, own, type PlainRecord, valueAt } from './plain.ts';
import { toSettings } from './plugin-settings.ts';
import { isSecretName, show, showHidden, showPath } from './problems.ts';
import { resolver } from './references.ts';
import { compileSettingsSchema, type SchemaFinding } from './settings-schema.ts';
import type { SettingsSources } from './types.ts';

type Schema = Readonly<Record<string, unknown>>;

/** What one plugin's settings are made of. */
export interface SettingsInput {
  /** The plugin's name. */
  readonly plugin: string;
  /** JSON Schema of the settings; `null`: anything goes, and variables stay texts. */
  readonly schema: Schema | null;
  readonly sources: SettingsSources;
  /** `LLMROUTER_DEBUG`: the setting `debug` of a plugin for which nobody has set its own. */
  readonly debug: boolean;
}

/** The settings joined so far, and where each came from. */
interface Joined {
  readonly values: PlainRecord;
  /** What to call a setting's source in a problem. */
  readonly origins: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
}

/**
 * One plugin's settings: `plugins.<name>` of the file, overlaid with `LLMROUTER_PLUGIN_<NAME>__<KEY>`, checked against
 * the plugin's schema and filled with its defaults. Deeply frozen, without a prototype. `keysFile`, `keys_file` and
 * `KEYS_FILE` are one key, called as the schema calls it, else as the file does.
 *
 * @throws ConfigError `config_invalid`, with all problems; each names the plugin, the key and where it was set
 *
 * @example
 * ```ts
 * const settings = resolveSettings({ plugin: 'guard', schema, sources: config.plugins.settings, debug: config.debug });
 * settings.get('threshold', 0.7);
 * ```
 */
export function resolveSettings(input: SettingsInput): PluginSettings {
  const joined = join(input);
  const problems = [...joined.problems, ...applySchema(input, joined)];
  if (problems.length > 0) {
    throw new ConfigError(
      problems.map((problem) => `plugin "${input.plugin}": ${problem}`),
      { plugin: input.plugin },
    );
  }
  return toSettings(joined.values);
}

function join({ plugin, schema, sources }: SettingsInput): Joined {
  const values = emptyRecord();
  const origins = new Map<string, string>();
  const problems: string[] = [];
  const properties = propertiesOf(schema);
  const names = new Map(Object.keys(properties).map((property) => [toEnvName(property), property]));
  const resolve = resolver(sources.references ?? new Map());
  for (const [written, value] of Object.entries(sources.file.get(plugin) ?? {})) {
    const envName = toEnvName(written);
    const key = Object.hasOwn(properties, written) ? written : (names.get(envName) ?? written);
    const earlier = origins.get(key);
    const origin = `plugins.${plugin}.${written}`;
    if (earlier !== undefined) problems.push(`${origin}: got the setting ${earlier} again, expected it once`);
    names.set(envName, key);
    origins.set(key, origin);
    values[key] = copyPlain(value, resolve);
  }
  for (const [envName, variable, text] of variablesOf(plugin, sources)) {
    const key = names.get(envName) ?? toSettingKey(envName);
    origins.set(key, variable);
    values[key] = copyPlain(coerceText(text, own(properties, key) ?? undeclared(key, schema)));
  }
  return { values, origins, problems };
}

function variablesOf(plugin: string, sources: SettingsSources): readonly [string, string, string][] {
  const prefix = settingPrefix(plugin);
  return [...sources.env]
    .filter(([variable]) => variable.startsWith(prefix) && variable.length > prefix.length)
    .map(([variable, text]) => [variable.slice(prefix.length), variable, text]);
}

function propertiesOf(schema: Schema | null): Schema {
  const properties = schema === null ? undefined : own(schema, 'properties');
  return isRecord(properties) ? properties : {};
}

// Every plugin has the setting `debug`, a boolean, whether or not its schema mentions it.
function undeclared(key: string, schema: Schema | null): unknown {
  if (key === 'debug') return { type: 'boolean' };
  return schema === null ? undefined : own(schema, 'additionalProperties');
}

function applySchema(input: SettingsInput, joined: Joined): readonly string[] {
  const { values, origins } = joined;
  const declared = own(propertiesOf(input.schema), 'debug');
  const given = values.debug;
  // A schema that admits no other settings must not refuse the one that every plugin has.
  if (declared === undefined) delete values.debug;
  const problems = input.schema === null ? [] : check(input, input.schema, joined);
  if (origins.has('debug')) {
    if (declared !== undefined) return problems;
    values.debug = given;
    if (typeof given === 'boolean') return problems;
    return [...problems, `${origins.get('debug')}: got ${showHidden(given)}, expected true or false`];
  }
  if (declared === undefined || schemaTypes(declared).has('boolean')) values.debug = input.debug;
  return problems;
}

function check(input: SettingsInput, schema: Schema, joined: Joined): readonly string[] {
  try {
    const findings = compileSettingsSchema(schema)(joined.values);
    return findings.map((finding) => toProblem(input, schema, joined, finding));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [`its settings schema cannot be used: ${why}`];
  }
}

function toProblem(input: SettingsInput, schema: Schema, joined: Joined, finding: SchemaFinding): string {
  const [key, ...rest] = finding.path;
  const got = showSeen(input.sources, joined, finding);
  if (key === undefined) return `its settings: got ${got}, expected ${finding.expected}`;
  const origin = joined.origins.get(key) ?? whereToSet(input.plugin, key);
  const where = rest.length === 0 ? origin : `${origin}, at ${showPath(finding.path)}`;
  const known = Object.keys(propertiesOf(schema));
  const guess = known.includes(key) || known.length === 0 ? undefined : likely(key, known);
  return `${where}: got ${got}, expected ${finding.expected}${guess === undefined ? '' : `; did you mean ${guess}?`}`;
}

function whereToSet(plugin: string, key: string): string {
  return `setting ${key} (plugins.${plugin}.${key} or ${settingPrefix(plugin)}${toEnvName(key)})`;
}

// What stands behind an os.environ/ reference was put there to be kept out of sight.
function showSeen(sources: SettingsSources, { values }: Joined, { path, writeOnly }: SchemaFinding): string {
  const seen = valueAt(values, path);
  const referenced = [...(sources.references ?? new Map()).values()].includes(seen);
  return writeOnly || referenced || path.some(isSecretName) ? showHidden(seen) : show(seen);
}
