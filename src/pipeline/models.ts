import type {
  EmbeddingModelV4,
  EmbeddingModelV4Result,
  LanguageModelV4,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
} from '@ai-sdk/provider';

/** Runs one method of a model, contained. */
export type Guarded = <T>(check: (value: unknown) => T, fn: () => PromiseLike<unknown>) => Promise<T>;

type Fields = Readonly<Record<string, unknown>>;

/**
 * A language model whose every call is contained. A stream counts as answered with its first part; what breaks later
 * is the stream's own failure.
 */
export function guardLanguageModel(model: LanguageModelV4, guarded: Guarded): LanguageModelV4 {
  return Object.freeze({
    specificationVersion: model.specificationVersion,
    provider: model.provider,
    modelId: model.modelId,
    supportedUrls: model.supportedUrls,
    doGenerate: (options) => guarded(checkGenerated, () => model.doGenerate(options)),
    doStream: (options) =>
      guarded(checkStreamed, async () => startedStream(checkStream(await model.doStream(options)))),
  } satisfies LanguageModelV4);
}

/** An embedding model whose every call is contained. */
export function guardEmbeddingModel(model: EmbeddingModelV4, guarded: Guarded): EmbeddingModelV4 {
  return Object.freeze({
    specificationVersion: model.specificationVersion,
    provider: model.provider,
    modelId: model.modelId,
    maxEmbeddingsPerCall: model.maxEmbeddingsPerCall,
    supportsParallelCalls: model.supportsParallelCalls,
    doEmbed: (options) =>
      guarded(
        (value) => checkEmbedded(value, options.values.length),
        () => model.doEmbed(options),
      ),
  } satisfies EmbeddingModelV4);
}

/** @throws Error that says what was seen, for anything but a language model of version 4 */
export function checkLanguageModel(value: unknown): LanguageModelV4 {
  return checkModel(value, ['doGenerate', 'doStream']) as unknown as LanguageModelV4;
}

/** @throws Error that says what was seen, for anything but an embedding model of version 4 */
export function checkEmbeddingModel(value: unknown): EmbeddingModelV4 {
  return checkModel(value, ['doEmbed']) as unknown as EmbeddingModelV4;
}

function checkModel(value: unknown, methods: readonly string[]): Fields {
  const model = fieldsOf(value, 'a model of the AI SDK');
  if (model.specificationVersion !== 'v4') {
    throw new Error(
      `saw a model of specification ${JSON.stringify(model.specificationVersion)}, expected "v4": another version of its package has it`,
    );
  }
  for (const method of methods) {
    if (typeof model[method] !== 'function') throw new Error(`saw a model without ${method}()`);
  }
  return model;
}

function checkGenerated(value: unknown): LanguageModelV4GenerateResult {
  const result = fieldsOf(value, 'a result of doGenerate()');
  if (!Array.isArray(result.content)) throw new Error('saw a result without content, expected a list');
  fieldsOf(result.usage, 'a usage in the result');
  fieldsOf(result.finishReason, 'a finishReason in the result');
  return value as LanguageModelV4GenerateResult;
}

/** @throws Error that says what was seen and what is expected */
export function checkStream(value: unknown): LanguageModelV4StreamResult {
  const result = fieldsOf(value, 'a result of doStream()');
  if (result.stream instanceof ReadableStream) return value as LanguageModelV4StreamResult;
  throw new Error(`saw a stream of type ${typeof result.stream}, expected a ReadableStream`);
}

/** Checked already: the first part is what {@link startedStream} has waited for. */
function checkStreamed(value: unknown): LanguageModelV4StreamResult {
  return value as LanguageModelV4StreamResult;
}

function checkEmbedded(value: unknown, count: number): EmbeddingModelV4Result {
  const { embeddings } = fieldsOf(value, 'a result of doEmbed()');
  if (!Array.isArray(embeddings) || embeddings.length !== count) {
    const seen = Array.isArray(embeddings) ? String(embeddings.length) : 'no list of';
    throw new Error(`saw ${seen} embeddings, expected ${count}`);
  }
  if (!embeddings.every(isVector)) throw new Error('saw an embedding that is no list of numbers');
  return value as EmbeddingModelV4Result;
}

/** The same result, once the first part of its stream is there. */
async function startedStream(result: LanguageModelV4StreamResult): Promise<LanguageModelV4StreamResult> {
  const reader = result.stream.getReader();
  let first: Awaited<ReturnType<typeof reader.read>> | null = await reader.read();
  const stream = new ReadableStream<LanguageModelV4StreamPart>(
    {
      async pull(controller) {
        const { done, value } = first ?? (await reader.read());
        first = null;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    // Nothing is read ahead: who is slow holds the upstream back.
    { highWaterMark: 0 },
  );
  return { ...result, stream };
}

function isVector(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

function fieldsOf(value: unknown, expected: string): Fields {
  if (typeof value === 'object' && value !== null) return value as Fields;
  throw new Error(`saw ${value === null ? 'null' : typeof value}, expected ${expected}`);
}
