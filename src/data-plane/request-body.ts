import { GatewayError } from '../errors.ts';
import { readPieces } from '../wire/body.ts';
import { charset, isJsonType, mediaType } from '../wire/headers.ts';
import type { GatewayRequest } from '../wire/message.ts';
import { BodyBytes } from './body-bytes.ts';
import { FormBody } from './form-body.ts';
import { JsonBody } from './json-body.ts';
import type { JsonObject } from './json-value.ts';
import { boundaryOf } from './multipart-scan.ts';
import type { ScanMemory } from './scan-memory.ts';
import type { Surface } from './surface/surface.ts';

/**
 * A request's body: the bytes as the client sent them and what the gateway has to know of them. The bytes are what is
 * forwarded.
 */
export interface RequestBody {
  /** Bytes in all. */
  readonly length: number;
  /** What the upstream gets as `Content-Type`; `null` for plain JSON. */
  readonly contentType: string | null;
  readonly model: string;
  readonly stream: boolean;
  /**
   * The body as plugins see it.
   *
   * @throws Error when it is read for the first time after {@link release}
   */
  readonly json: JsonObject;
  /**
   * {@link json} for those who judge it, deeply frozen.
   *
   * @throws GatewayError `invalid_json`, when two readers may take the body differently
   */
  guarded(): JsonObject;
  /**
   * The bytes, in pieces, with another model's name in them, and nothing else changed. They are lent until
   * {@link onSent}; bytes that never come back are left to the garbage collector.
   */
  withModel(model: string): readonly Buffer[];
  /** What {@link withModel} has given is written, and nobody reads it any more. */
  onSent(): void;
  /** The call has come to its end: bytes that are not lent are freed. */
  release(): void;
}

/**
 * The bytes of a request's body, in pieces: what a middleware has left in `req.body`, or else what is still on the wire. A promise
 * only for the latter.
 *
 * @param limit in bytes
 * @throws GatewayError `unsupported_media_type`, `body_too_large`
 */
export function readRequestBytes(
  req: GatewayRequest,
  surface: Surface,
  limit: number,
): readonly Buffer[] | Promise<readonly Buffer[]> {
  if (surface.request === 'multipart') return readForm(req, limit);
  if (req.body !== undefined) return [toJsonBytes(req.body)];
  refuseOtherMedia(req);
  return readPieces(req, limit);
}

/**
 * Reads what {@link readRequestBytes} has brought.
 *
 * @param memory where it is looked at
 * @throws GatewayError those of {@link JsonBody.parse} and {@link FormBody.parse}
 */
export function parseRequestBody(
  pieces: readonly Buffer[],
  req: GatewayRequest,
  surface: Surface,
  memory: ScanMemory,
): RequestBody {
  // Whoever has had the request in hand may hold on to what has come of it.
  const bytes = new BodyBytes(pieces, !req.isShared);
  return surface.request === 'multipart'
    ? FormBody.parse(bytes, req.headers['content-type'] ?? '')
    : JsonBody.parse(bytes, surface, memory);
}

function readForm(req: GatewayRequest, limit: number): readonly Buffer[] | Promise<readonly Buffer[]> {
  boundaryOf(req.headers['content-type'] ?? '');
  refuseEncoded(req);
  if (req.body === undefined) return readPieces(req, limit);
  if (req.body instanceof Uint8Array) return [toBuffer(req.body)];
  throw new GatewayError(
    'invalid_request',
    'The form has been parsed by a middleware, and cannot be passed on any more',
  );
}

function toJsonBytes(body: unknown): Buffer {
  if (body instanceof Uint8Array) return toBuffer(body);
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A missing content type is taken for JSON, as OpenAI's API does. */
function refuseOtherMedia(req: GatewayRequest): void {
  const type = req.headers['content-type'];
  if (type !== undefined && type !== 'application/json') refuseOtherType(type);
  refuseEncoded(req);
}

function refuseEncoded(req: GatewayRequest): void {
  const encoding = req.headers['content-encoding'];
  if (encoding === undefined || encoding.trim().toLowerCase() === 'identity') return;
  throw new GatewayError(
    'unsupported_media_type',
    `Content-Encoding is ${quote(encoding)}, expected none: request bodies are taken uncompressed`,
  );
}

function refuseOtherType(type: string): void {
  const set = charset(type);
  if (isJsonType(mediaType(type)) && (set === null || set === 'utf-8' || set === 'utf8')) return;
  throw new GatewayError(
    'unsupported_media_type',
    `Content-Type is ${quote(type)}, expected application/json in UTF-8`,
  );
}

function quote(value: string): string {
  return JSON.stringify(value.slice(0, 80));
}
