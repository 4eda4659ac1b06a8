import type { LlmRequest, LlmResponse } from '../../plugin-api/llm.ts';
import { parseError, unpackError } from '../channel/errors.ts';
import type { LlmCaller } from './llm-caller.ts';

/**
 * Evaluators of one plugin that the pipeline asks one after the other about the same text. The first question takes all
 * of them to the plugin's process; the others find their answers here, at once when they have come with its own. That
 * process stops where the pipeline would, so that whoever is asked all the same (`failOpen`) has not been called before.
 */
export class EvaluatorCaller {
  readonly #llm: LlmCaller;
  readonly #indexes: readonly number[];
  /** By what is judged. */
  readonly #batches = new WeakMap<object, Batch>();

  /** @param indexes places in the description, in the order of the questions */
  constructor(llm: LlmCaller, indexes: readonly number[]) {
    this.#llm = llm;
    this.#indexes = indexes;
  }

  /** @throws (or rejects with) what the evaluator threw */
  judge(index: number, request: LlmRequest, response: LlmResponse | null): unknown {
    const place = this.#indexes.indexOf(index);
    const batch = this.#batches.get(response ?? request);
    if (batch === undefined || !batch.reaches(place)) return this.#ask(place, request, response);
    const outcome = batch.outcomeAt(place);
    return outcome === null ? this.#await(batch, place, request, response) : verdictOf(outcome);
  }

  async #await(
    batch: Batch,
    place: number,
    request: LlmRequest,
    response: LlmResponse | null,
  ): Promise<unknown> {
    const outcome = await batch.comeTo(place);
    return outcome === null ? this.#ask(place, request, response) : verdictOf(outcome);
  }

  async #ask(first: number, request: LlmRequest, response: LlmResponse | null): Promise<unknown> {
    const indexes = this.#indexes.slice(first);
    const batch = new Batch(first, indexes.length);
    if (indexes.length > 1) this.#batches.set(response ?? request, batch);
    const params = { indexes, response: response && answer(response) };
    const onEvent = (_event: string, verdicts: unknown): void => batch.take(verdicts);
    this.#llm
      .call('evaluate', request, params, { onEvent })
      .then((verdicts) => batch.end(verdicts))
      .catch((error) => batch.fail(error));
    const outcome = await batch.comeTo(first);
    if (outcome === null) throw new Error('saw no verdict, expected one of each evaluator');
    return verdictOf(outcome);
  }
}

/** Of a stream, they are put together when they are read. */
export function answer({ body, text, final, usage }: LlmResponse): LlmResponse {
  return { body, text, final, usage };
}

/** What became of one evaluator. */
type Outcome = { readonly verdict: unknown } | { readonly error: unknown };

/** A crossing under way, and what it has said so far of each evaluator from `first` on. */
class Batch {
  readonly #first: number;
  readonly #length: number;
  readonly #outcomes: Outcome[] = [];
  #isOver = false;
  /** Resolves when there is more to know. */
  #news: PromiseWithResolvers<void> | null = null;

  constructor(first: number, length: number) {
    this.#first = first;
    this.#length = length;
  }

  /**
   * Whether the evaluator's turn has come in this crossing. Whoever began it is asked anew: it may be another round of the
   * same request. Nor has it come behind one that was given up (`failOpen`, at its deadline): nobody waits for that one.
   */
  reaches(place: number): boolean {
    return this.#first < place && place - this.#first <= this.#outcomes.length;
  }

  /** `null`: nothing is known of it. */
  outcomeAt(place: number): Outcome | null {
    return this.#outcomes[place - this.#first] ?? null;
  }

  /** `null`: the plugin's process has not got that far, and will not. */
  async comeTo(place: number): Promise<Outcome | null> {
    while (this.outcomeAt(place) === null && !this.#isOver) {
      this.#news ??= Promise.withResolvers();
      await this.#news.promise;
    }
    return this.outcomeAt(place);
  }

  /** @param verdicts all that are known. What is no list of verdicts is taken for none: nobody takes it for a pass. */
  take(verdicts: unknown): void {
    if (this.#isOver || !Array.isArray(verdicts)) return;
    while (this.#outcomes.length < this.#length) {
      const outcome = parseVerdict(verdicts[this.#outcomes.length]);
      if (outcome === null) break;
      this.#outcomes.push(outcome);
    }
    this.#tell();
  }

  /** @param verdicts see {@link take} */
  end(verdicts: unknown): void {
    this.take(verdicts);
    this.#isOver = true;
    this.#tell();
  }

  /** The crossing failed: so has whoever's turn it was. */
  fail(error: unknown): void {
    if (this.#outcomes.length < this.#length) this.#outcomes.push({ error });
    this.#isOver = true;
    this.#tell();
  }

  #tell(): void {
    this.#news?.resolve();
    this.#news = null;
  }
}

function parseVerdict(entry: unknown): Outcome | null {
  if (typeof entry !== 'object' || entry === null) return null;
  if ('error' in entry) return { error: unpackError(parseError(entry.error)) };
  return { verdict: 'verdict' in entry ? entry.verdict : undefined };
}

function verdictOf(outcome: Outcome): unknown {
  if ('error' in outcome) throw outcome.error;
  return outcome.verdict;
}
