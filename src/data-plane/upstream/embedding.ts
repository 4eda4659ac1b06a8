import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  SharedV4Warning,
} from '@ai-sdk/provider';
import { GatewayError } from '../../errors.ts';
import type { ProviderResponse } from '../../plugin-api/provider.ts';
import type { JsonObject } from '../json-value.ts';

/** Requests to one upstream at a time, for one call. */
const MAX_PARALLEL = 8;

/** `user` identifies an end user to OpenAI, and `stream: false` asks for what there is: neither changes the answer. */
const IGNORED: ReadonlySet<string> = new Set(['model', 'user', 'stream']);

/** What `/v1/embeddings` may ask of a model of the AI SDK. */
export interface EmbeddingRequest {
  readonly values: readonly string[];
  readonly dimensions: number | undefined;
  readonly format: 'float' | 'base64';
}

/**
 * Reads the body of `/v1/embeddings`.
 *
 * @throws GatewayError `invalid_request`, naming the field: also for one that no model could be told of
 */
export function readEmbeddingRequest(body: JsonObject): EmbeddingRequest {
  const { input, dimensions, encoding_format: format, ...rest } = body;
  const unknown = Object.keys(rest).find((name) => !IGNORED.has(name));
  if (unknown !== undefined) throw invalid(unknown, 'cannot be passed on to this provider');
  return { values: readInput(input), dimensions: readDimensions(dimensions), format: readFormat(format) };
}

/** Embeds all values, in as many requests as the model needs, and answers in OpenAI's shape. */
export async function embed(
  model: EmbeddingModelV4,
  { values, dimensions, format }: EmbeddingRequest,
  group: string,
  scope: Pick<EmbeddingModelV4CallOptions, 'headers' | 'abortSignal'>,
): Promise<ProviderResponse> {
  const parallel = (await model.supportsParallelCalls) ? MAX_PARALLEL : 1;
  const batches = inBatches(values, (await model.maxEmbeddingsPerCall) ?? values.length);
  const results: EmbeddingModelV4Result[] = [];
  for (const some of inBatches(batches, parallel)) {
    const options = { ...scope, ...(dimensions === undefined ? {} : { dimensions }) };
    results.push(...(await Promise.all(some.map((batch) => model.doEmbed({ ...options, values: batch })))));
  }
  for (const { warnings } of results) refuseUnsupported(warnings);
  return toResponse(results, format, group);
}

/** A setting that a model does not have is no setting that may be passed over. */
function refuseUnsupported(warnings: readonly SharedV4Warning[] | undefined): void {
  const unsupported = warnings?.find(({ type }) => type === 'unsupported');
  if (unsupported?.type !== 'unsupported') return;
  throw invalid(unsupported.feature, 'is not supported by this model');
}

function toResponse(
  results: readonly EmbeddingModelV4Result[],
  format: EmbeddingRequest['format'],
  model: string,
): ProviderResponse {
  const vectors = results.flatMap(({ embeddings }) => embeddings);
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: format === 'base64' ? toBase64(vector) : vector,
  }));
  const body = JSON.stringify({ object: 'list', data, model, ...usageOf(results) });
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

/** Left out when the model has not counted: a zero would be a lie that somebody bills by. */
function usageOf(results: readonly EmbeddingModelV4Result[]): object {
  const counts = results.flatMap(({ usage }) => (Number.isFinite(usage?.tokens) ? [usage?.tokens ?? 0] : []));
  if (counts.length < results.length) return {};
  const tokens = counts.reduce((sum, count) => sum + count, 0);
  return { usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

/** Little-endian floats of 32 bits, as OpenAI's clients decode them. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString('base64');
}

function readInput(input: unknown): readonly string[] {
  const values: readonly unknown[] = Array.isArray(input) ? input : [input];
  if (values.length > 0 && values.every((value) => typeof value === 'string')) return values;
  throw invalid('input', 'must be a string or a list of strings: token ids mean nothing to this provider');
}

function readDimensions(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw invalid('dimensions', 'must be a whole number above 0');
}

function readFormat(value: unknown): EmbeddingRequest['format'] {
  if (value === undefined || value === null) return 'float';
  if (value === 'float' || value === 'base64') return value;
  throw invalid('encoding_format', 'must be "float" or "base64"');
}

function inBatches<T>(values: readonly T[], size: number): T[][] {
  const step = Number.isFinite(size) && size >= 1 ? Math.floor(size) : Math.max(1, values.length);
  const batches: T[][] = [];
  for (let at = 0; at < values.length; at += step) batches.push(values.slice(at, at + step));
  return batches;
}

function invalid(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `The parameter "${param}" ${what}`, { param });
}
