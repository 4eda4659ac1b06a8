import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { FilePart, Schema } from './canonical.ts';

/** What must not depend on the answer: hints for caches and the like. */
export const anything: z.ZodOptional<z.ZodUnknown> = z.unknown().optional();

/** A JSON object whose shape is the upstream's business. */
export const object: z.ZodCustom<JsonObject> = z.custom<JsonObject>(isObject, 'expected an object');

/** A JSON schema. Its meaning is the model's business. */
export const jsonSchema: z.ZodCustom<Schema> = z.custom<Schema>(isObject, 'expected a JSON schema');

/** A text, or a list of parts: the text is one part of that type. */
export function partsOrText<Part extends z.ZodType>(
  part: Part,
  type: string,
): z.ZodPreprocess<z.ZodArray<Part>> {
  return z.preprocess(
    (value) => (typeof value === 'string' ? [{ type, text: value }] : value),
    z.array(part),
  );
}

/**
 * Reads what a schema describes.
 *
 * @throws GatewayError `invalid_request`, with the place of the first fault as `param`
 */
export function parse<Type>(schema: z.ZodType<Type>, body: JsonObject): Type {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw toError(result.error.issues[0] as z.core.$ZodIssue, body);
}

/**
 * The arguments of a tool call, as JSON text.
 *
 * @throws GatewayError `invalid_request`
 */
export function parseArguments(text: string, param: string): JsonObject {
  if (text.trim() === '') return {};
  const value = parseJson(text);
  if (isObject(value)) return value;
  throw invalid(param, 'must be the JSON text of an object');
}

/**
 * A file given as a `data:` URL or by its address.
 *
 * @param mediaType of what stands at an address: its top level will do
 * @throws GatewayError `invalid_request`
 */
export function fileAt(address: string, mediaType: string, param: string): FilePart {
  const inline = /^data:([^;,]+)(?:;[^;,]+)*;base64,(.*)$/s.exec(address);
  if (inline !== null) {
    const [, type = mediaType, data = ''] = inline;
    return { type: 'file', mediaType: type, data: { type: 'data', data } };
  }
  const url = URL.parse(address);
  if (url !== null && /^https?:$/.test(url.protocol)) {
    return { type: 'file', mediaType, data: { type: 'url', url } };
  }
  throw invalid(param, 'must be an http or https URL, or a data: URL in base64');
}

/** A field with a wrong value. `what` completes the sentence. */
export function invalid(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `The parameter "${param}" ${what}`, { param });
}

/** A place in a body as OpenAI's errors name it: `messages[0].content`. */
export function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
}

function toError(issue: z.core.$ZodIssue, body: JsonObject): GatewayError {
  if (issue.code === 'unrecognized_keys') {
    const place = placeOf([...issue.path, issue.keys[0] ?? '']).slice(0, 200);
    return invalid(place, "cannot be carried to this model's upstream: it speaks another dialect");
  }
  const seen = issue.path.reduce<unknown>(memberOf, body);
  const expected = issue.message.replace(/^Invalid input: /, '');
  return invalid(placeOf(issue.path), `is ${show(seen)}: ${expected}`);
}

function memberOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined;
}

/** Prompts do not belong into messages: of texts only short words are shown, of trees nothing. */
function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'a list';
  if (isObject(value)) return 'an object';
  if (typeof value === 'string' && !/^[\w.-]{0,40}$/.test(value)) return 'a text';
  return JSON.stringify(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
