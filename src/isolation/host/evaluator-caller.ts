import type { LlmRequest, LlmResponse } from '../../plugin-api/llm.ts';
import { parseError, unpackError } from '../channel/errors.ts';
import type { LlmCaller } from './llm-caller.ts';

/** `null`: the plugin's process did not get that far. */
type Slot = PromiseWithResolvers<{ readonly verdict: unknown } | null>;

/** A crossing under way, and what it says of each evaluator from `first` on. */
interface Batch {
  readonly first: number;
  readonly slots: readonly Slot[];
  /** How many of them are known. */
  known: number;
}

/**
 * Evaluators of one plugin that the pipeline asks one after the other about the same text. The first question takes all
 * of them to the plugin's process; the others find their answers here. That process stops where the pipeline would, so
 * that whoever is asked all the same (`failOpen`) has not been called before.
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

  /** @throws what the evaluator threw */
  async judge(index: number, request: LlmRequest, response: LlmResponse | null): Promise<unknown> {
    const place = this.#indexes.indexOf(index);
    const known = this.#batches.get(response ?? request);
    // Whoever is first is asked anew: it may be another round of the same request.
    // Whoever comes after one that was given up (`failOpen`, at its deadline) does not wait for it.
    if (place > 0 && known !== undefined && known.first < place && place - known.first <= known.known) {
      const judged = await known.slots[place - known.first]?.promise;
      if (judged != null) return judged.verdict;
    }
    const judged = await this.#ask(place, request, response).slots[0]?.promise;
    if (judged == null) throw new Error('saw no verdict, expected one of each evaluator');
    return judged.verdict;
  }

  #ask(first: number, request: LlmRequest, response: LlmResponse | null): Batch {
    const indexes = this.#indexes.slice(first);
    const batch: Batch = { first, slots: indexes.map(() => createSlot()), known: 0 };
    if (indexes.length > 1) this.#batches.set(response ?? request, batch);
    const take = (verdicts: unknown): void => {
      batch.known = Math.max(batch.known, fill(batch, verdicts));
    };
    const params = { indexes, response: response && answer(response) };
    const onEvent = (_event: string, verdicts: unknown): void => take(verdicts);
    this.#llm
      .call('evaluate', request, params, { onEvent })
      .then(take, (error) => batch.slots[batch.known]?.reject(error))
      .finally(() => {
        for (const slot of batch.slots) slot.resolve(null);
      });
    return batch;
  }
}

/** Of a stream, they are put together when they are read. */
export function answer({ body, text, final, usage }: LlmResponse): LlmResponse {
  return { body, text, final, usage };
}

function createSlot(): Slot {
  const slot: Slot = Promise.withResolvers();
  // The question that it answers may never be asked.
  slot.promise.catch(() => undefined);
  return slot;
}

/** How many are known now. What is no list of verdicts leaves its slots open: nobody takes it for a pass. */
function fill({ slots }: Batch, verdicts: unknown): number {
  if (!Array.isArray(verdicts)) return 0;
  for (const [place, slot] of slots.entries()) {
    const entry: unknown = verdicts[place];
    if (typeof entry !== 'object' || entry === null) return place;
    if ('error' in entry) slot.reject(unpackError(parseError(entry.error)));
    else slot.resolve({ verdict: 'verdict' in entry ? entry.verdict : undefined });
  }
  return slots.length;
}
