import { isRecord, own } from './plain.ts';

type Schema = Readonly<Record<string, unknown>>;

/**
 * A variable's text as the type that the schema asks for at its place: numbers, booleans, JSON or comma-separated
 * lists, JSON objects. A text that spells none of them stays a text, for the schema to judge.
 */
export function coerceText(text: string, schema: unknown): unknown {
  for (const branch of branches(schema)) {
    for (const type of types(branch)) {
      const value = asType(text.trim(), type, branch);
      if (value !== undefined) return value;
    }
  }
  return text;
}

/** The types that the schema allows at its top, `string` among them. */
export function schemaTypes(schema: unknown): ReadonlySet<unknown> {
  return new Set(branches(schema).flatMap(types));
}

function branches(schema: unknown): readonly Schema[] {
  if (!isRecord(schema)) return [];
  const alternatives = [own(schema, 'anyOf'), own(schema, 'oneOf')].filter(Array.isArray).flat();
  return [schema, ...alternatives.filter(isRecord)];
}

function types(schema: Schema): readonly unknown[] {
  const type = own(schema, 'type');
  if (type !== undefined) return Array.isArray(type) ? type : [type];
  const values = [own(schema, 'enum'), own(schema, 'const')].flat();
  return [...new Set(values.filter((value) => value !== undefined).map((value) => typeof value))];
}

function asType(text: string, type: unknown, schema: Schema): unknown {
  if (type === 'number' || type === 'integer') return asNumber(text);
  if (type === 'boolean') return asBoolean(text);
  if (type === 'array') return asList(text, own(schema, 'items'));
  if (type === 'object') return text.startsWith('{') ? asJson(text, isRecord) : undefined;
  return undefined;
}

function asNumber(text: string): number | undefined {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

function asBoolean(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  if (lower === 'true' || lower === '1') return true;
  return lower === 'false' || lower === '0' ? false : undefined;
}

function asList(text: string, items: unknown): unknown {
  if (text.startsWith('[')) return asJson(text, Array.isArray);
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '').map((part) => coerceText(part, items));
}

function asJson(text: string, accepts: (value: unknown) => boolean): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return accepts(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
