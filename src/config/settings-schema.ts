import { isIP } from 'node:net';
import { Ajv, type ErrorObject, type Options } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { isRecord, own, type PlainRecord } from './plain.ts';

const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  uri: (text) => URL.canParse(text),
  ipv4: (text) => isIP(text) === 4,
  ipv6: (text) => isIP(text) === 6,
};

/** What a settings schema says against some values. */
export interface SchemaFinding {
  /** Where: names and indices from the settings' root. */
  readonly path: readonly string[];
  readonly expected: string;
  /** True when the schema, there or further up, says that the value is never to be read back (`writeOnly`). */
  readonly writeOnly: boolean;
}

/** Fills `values` with the schema's defaults and returns all that the schema says against them. */
export type SettingsValidator = (values: PlainRecord) => readonly SchemaFinding[];

/**
 * Compiles a plugin's settings schema: JSON Schema draft 7, or 2020-12 when its `$schema` says so. Unknown keywords are
 * annotations; unknown formats are refused, because they would check nothing.
 *
 * @throws Error saying what is wrong with the schema
 */
export function compileSettingsSchema(schema: Readonly<Record<string, unknown>>): SettingsValidator {
  const complaints: string[] = [];
  const ajv = createAjv(schema, (message) => complaints.push(message));
  const validate = ajv.compile(schema);
  if (complaints.length > 0) {
    throw new Error(`${complaints.join('; ')}; known formats: ${Object.keys(FORMATS).join(', ')}`);
  }
  return (values) => {
    if (validate(values)) return [];
    return (validate.errors ?? []).filter(isTelling).map((error) => toFinding(error, schema));
  };
}

function createAjv(schema: Readonly<Record<string, unknown>>, complain: (message: string) => void): Ajv {
  const options: Options = {
    allErrors: true,
    useDefaults: true,
    ownProperties: true,
    strict: false,
    verbose: true,
    formats: { ...FORMATS },
    logger: { log: complain, warn: complain, error: complain },
  };
  const dialect = own(schema, '$schema');
  return String(dialect).includes('2020-12') ? new Ajv2020(options) : new Ajv(options);
}

// The sub-schemas of these report by themselves; "must match if" alone tells nobody what to change.
function isTelling(error: ErrorObject): boolean {
  return error.keyword !== 'if';
}

function toFinding(error: ErrorObject, schema: Readonly<Record<string, unknown>>): SchemaFinding {
  const path = error.instancePath.split('/').slice(1).map(unescapePointer);
  const at = (key: unknown): readonly string[] => [...path, String(key)];
  const found = (place: readonly string[], expected: string): SchemaFinding => ({
    path: place,
    expected,
    writeOnly: error.parentSchema?.writeOnly === true || isWriteOnly(schema, place),
  });
  if (error.keyword === 'required') return found(at(error.params.missingProperty), 'it to be set');
  if (error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties') {
    const key = error.params.additionalProperty ?? error.params.unevaluatedProperty;
    return found(at(key), 'no such setting: the plugin does not know it');
  }
  if (error.keyword === 'enum') return found(path, `one of ${JSON.stringify(error.params.allowedValues)}`);
  if (error.keyword === 'const') return found(path, JSON.stringify(error.params.allowedValue));
  return found(path, toExpectation(error.message ?? error.keyword));
}

// Ajv's sentences begin with "must", and with "must be" where they name a type or a bound.
function toExpectation(message: string): string {
  return message.startsWith('must be ')
    ? message.slice('must be '.length)
    : `a value that ${message.replace('must NOT', 'must not')}`;
}

function isWriteOnly(schema: unknown, path: readonly string[]): boolean {
  let node: unknown = schema;
  for (const part of path) {
    node = subSchema(node, part);
    if (isRecord(node) && own(node, 'writeOnly') === true) return true;
  }
  return false;
}

function subSchema(schema: unknown, part: string): unknown {
  if (!isRecord(schema)) return undefined;
  const properties = own(schema, 'properties');
  if (isRecord(properties) && Object.hasOwn(properties, part)) return own(properties, part);
  const items = /^\d+$/.test(part) ? own(schema, 'items') : undefined;
  return items ?? own(schema, 'additionalProperties');
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
