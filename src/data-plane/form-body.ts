import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../errors.ts';
import { type BodyBytes, splice } from './body-bytes.ts';
import type { JsonObject } from './json-value.ts';
import { boundaryOf, type FormPart, scanForm } from './multipart-scan.ts';
import type { RequestBody } from './request-body.ts';

/**
 * A request's form: the bytes as the client sent them, files included, and where the model's name stands in them. The
 * bytes are what is forwarded, under the client's own `Content-Type`.
 */
export class FormBody implements RequestBody {
  readonly length: number;
  readonly contentType: string;
  readonly model: string;
  /** What a form asks to be streamed passes through as it comes. */
  readonly stream: boolean = false;
  readonly #bytes: BodyBytes;
  readonly #parts: readonly FormPart[];
  readonly #modelAt: FormPart;

  private constructor(bytes: BodyBytes, contentType: string, parts: readonly FormPart[]) {
    this.#bytes = bytes;
    this.length = bytes.length;
    this.contentType = contentType;
    this.#parts = parts;
    this.#modelAt = modelPart(parts);
    this.model = readModel(bytes.whole, this.#modelAt);
  }

  /**
   * @throws GatewayError `unsupported_media_type`, and `invalid_request` for forms that two readers may take
   * differently and for those without one usable `model`
   */
  static parse(bytes: BodyBytes, contentType: string): FormBody {
    return new FormBody(bytes, contentType, scanForm(bytes.whole, boundaryOf(contentType)));
  }

  /** The fields that are text, by name; a name that comes several times has a list. Files are not among them. */
  get json(): JsonObject {
    const { whole } = this.#bytes;
    const fields = new Map<string, unknown>();
    for (const part of this.#parts) {
      if (part.isFile) continue;
      const value = whole.toString('utf8', part.start, part.end);
      const before = fields.get(part.name);
      if (before === undefined) fields.set(part.name, value);
      else fields.set(part.name, Object.freeze(Array.isArray(before) ? [...before, value] : [before, value]));
    }
    return Object.freeze(Object.fromEntries(fields));
  }

  guarded(): JsonObject {
    return this.json;
  }

  withModel(model: string): readonly Buffer[] {
    const pieces = this.#bytes.lend();
    return model === this.model ? pieces : splice(pieces, this.#modelAt, Buffer.from(model));
  }

  onSent(): void {
    this.#bytes.takeBack();
  }

  release(): void {
    this.#bytes.release();
  }
}

/** The one part that is the model, in any case: readers that ignore case would let `Model` override it. */
function modelPart(parts: readonly FormPart[]): FormPart {
  const named = parts.filter(({ name }) => name.toLowerCase() === 'model');
  const [part] = named;
  if (part === undefined) throw invalidModel('is missing');
  if (named.length > 1 || part.name !== 'model') throw invalidModel('is written twice or in another case');
  if (part.isFile) throw invalidModel('must be a field, not a file');
  return part;
}

function readModel(bytes: Buffer, { start, end }: FormPart): string {
  const value = bytes.subarray(start, end);
  const model = isUtf8(value) ? value.toString() : '';
  if (model.trim() === '') throw invalidModel('must be text that is not blank');
  return model;
}

function invalidModel(what: string): GatewayError {
  return new GatewayError('invalid_request', `The parameter "model" ${what}`, { param: 'model' });
}
