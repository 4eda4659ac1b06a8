import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../json-value.ts';
import type { CallOptions, FilePart, Message, Setting } from './canonical.ts';
import { SETTINGS, settingOf } from './canonical.ts';

/**
 * What becomes of a field of a client's request when it crosses to another dialect.
 *
 * `read`: it becomes a part of the canonical request. `ignored`: it asks for nothing that the answer depends on.
 * `refused`: a 400 that names it.
 */
export interface FieldRule {
  readonly fate: 'read' | 'ignored' | 'refused';
  /** The setting that it becomes. */
  readonly setting?: Setting;
  /** For docs/dialects.md. */
  readonly note: string;
  /** Values at which a refused field asks for nothing. `null` always does. */
  readonly neutral?: readonly unknown[];
}

/** Every field that a dialect's requests may have, by name. Any other is refused. */
export type FieldTable = Readonly<Record<string, FieldRule>>;

/** What an upstream dialect makes of a setting, or of a kind of part of the prompt. */
export interface Carriage {
  readonly fate: 'kept' | 'mapped' | 'refused';
  /** For docs/dialects.md. */
  readonly note: string;
}

/** The kinds of parts that not every upstream takes. */
export const PART_KINDS = ['image', 'pdf', 'audio', 'textFile', 'otherFile', 'uploadedFile'] as const;

export type PartKind = (typeof PART_KINDS)[number];

/** What an upstream dialect can carry. */
export interface CarriageTable {
  readonly settings: Readonly<Record<Setting, Carriage>>;
  readonly parts: Readonly<Record<PartKind, Carriage>>;
}

export function read(note: string, setting?: Setting): FieldRule {
  return setting === undefined ? { fate: 'read', note } : { fate: 'read', note, setting };
}

export function ignored(note: string): FieldRule {
  return { fate: 'ignored', note };
}

/** @param neutral values at which the field asks for nothing */
export function refused(note: string, ...neutral: readonly unknown[]): FieldRule {
  return { fate: 'refused', note, neutral };
}

export function kept(note: string): Carriage {
  return { fate: 'kept', note };
}

export function mapped(note: string): Carriage {
  return { fate: 'mapped', note };
}

export function notCarried(note: string): Carriage {
  return { fate: 'refused', note };
}

/**
 * Nothing of a request is dropped in silence.
 *
 * @throws GatewayError `invalid_request`, for a field that is unknown or that no other dialect has
 */
export function assertFields(body: JsonObject, table: FieldTable): void {
  for (const [field, value] of Object.entries(body)) {
    if (value === null || value === undefined) continue;
    const rule = Object.hasOwn(table, field) ? table[field] : undefined;
    if (rule === undefined)
      throw refusal(field, 'it speaks another dialect, and the gateway does not know this field');
    if (rule.fate !== 'refused') continue;
    if (rule.neutral?.some((neutral) => isDeepStrictEqual(neutral, value)) !== true) {
      throw refusal(field, rule.note);
    }
  }
}

/**
 * The same for what the upstream's dialect has no word for.
 *
 * @param fields of the client's dialect: the error names the field that the client wrote
 * @throws GatewayError `invalid_request`
 */
export function assertCarried(
  options: CallOptions,
  table: CarriageTable,
  fields: FieldTable,
  promptField: string,
): void {
  for (const setting of SETTINGS) {
    const { fate, note } = table.settings[setting];
    if (fate === 'refused' && isSet(options, setting)) throw refusal(fieldOf(fields, setting), note);
  }
  for (const file of filesIn(options.prompt)) {
    const { fate, note } = table.parts[kindOf(file)];
    if (fate === 'refused') throw refusal(promptField, `has a file of type ${file.mediaType}: ${note}`);
  }
}

/** A field cannot be carried to this upstream. Another one, of the client's own dialect, may take the request. */
export class NotCarriedError extends GatewayError {
  constructor(field: string, why: string) {
    const param = field.slice(0, 200);
    super('invalid_request', `The parameter "${param}" cannot be carried to this model's upstream: ${why}`, {
      param,
    });
  }
}

/** The error for a field that cannot be carried to the model's upstream, and why. */
export function refusal(field: string, why: string): NotCarriedError {
  return new NotCarriedError(field, why);
}

/** The field of the client's dialect that sets `setting`. */
export function fieldOf(fields: FieldTable, setting: Setting): string {
  return Object.entries(fields).find(([, rule]) => rule.setting === setting)?.[0] ?? setting;
}

/** What a request says at these values is what it would say without them. */
const NEUTRAL: Partial<Record<Setting, readonly unknown[]>> = {
  presencePenalty: [0],
  frequencyPenalty: [0],
  responseFormat: [{ type: 'text' }],
  reasoning: ['provider-default'],
  tools: [[]],
  parallelToolCalls: [true],
  textVerbosity: ['medium'],
};

/** True when the request asks for something else than the default. */
export function isSet(options: CallOptions, setting: Setting): boolean {
  const value = settingOf(options, setting);
  if (value === undefined) return false;
  return NEUTRAL[setting]?.some((neutral) => isDeepStrictEqual(neutral, value)) !== true;
}

/** The files in a prompt, those in the results of tools among them. */
export function filesIn(prompt: readonly Message[]): FilePart[] {
  return prompt.flatMap((message) => {
    if (message.role === 'system') return [];
    return message.content.flatMap((part): FilePart[] => {
      if (part.type === 'file') return [part];
      if (part.type !== 'tool-result' || part.output.type !== 'content') return [];
      return part.output.value.flatMap((each) => (each.type === 'file' ? [each] : []));
    });
  });
}

function kindOf({ data, mediaType }: FilePart): PartKind {
  if (data.type === 'reference') return 'uploadedFile';
  if (mediaType.startsWith('image')) return 'image';
  if (mediaType.startsWith('audio')) return 'audio';
  if (mediaType.startsWith('text')) return 'textFile';
  return mediaType === 'application/pdf' ? 'pdf' : 'otherFile';
}
