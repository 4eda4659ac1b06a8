import { clientErrorStatus } from '../../errors.ts';
import { deepFreeze } from '../../freeze.ts';
import { checkBodyResult, checkEvents, checkRequestResult } from '../../pipeline/hooks.ts';
import type { LlmHooks, LlmRequest, LlmResponse } from '../../plugin-api/llm.ts';
import type { LlmDelta, LlmEvent } from '../../plugin-api/llm-event.ts';
import type { RouteDecision } from '../../plugin-api/routing.ts';
import type { HookName, HookOutcome } from '../protocol.ts';
import { checked } from './answers.ts';
import { withBody } from './llm-requests.ts';

/** What a hook gets besides the request. */
export type HookSubject = RouteDecision | LlmEvent | LlmResponse | { readonly error: Error } | null;

/**
 * All LLM hooks of one plugin in one phase, one after the other as in the gateway's own process: what one returns, the
 * next one sees.
 */
export class HookChain {
  readonly #hooks: readonly LlmHooks[];
  readonly #failClosed: boolean;
  readonly #onSkipped: (error: unknown) => void;

  /** @param onSkipped told of a failure that the request goes on without */
  constructor(hooks: readonly LlmHooks[], failClosed: boolean, onSkipped: (error: unknown) => void) {
    this.#hooks = hooks;
    this.#failClosed = failClosed;
    this.#onSkipped = onSkipped;
  }

  /** @throws a hook's 4xx; any failure, when the plugin fails closed or has this one hook only */
  async run(name: HookName, request: LlmRequest, subject: HookSubject): Promise<HookOutcome> {
    switch (name) {
      case 'onRequest':
        return this.#onRequest(request);
      case 'onChunk':
        return this.#onChunk(request, subject as LlmEvent);
      case 'onResponse':
        return this.#onResponse(request, subject as LlmResponse);
      case 'onRoute':
        await this.#each(name, (hooks) => hooks.onRoute?.(request, subject as RouteDecision));
        return {};
      case 'onError':
        await this.#each(name, (hooks) => hooks.onError?.(request, (subject as { error: Error }).error));
        return {};
    }
  }

  async #onRequest(first: LlmRequest): Promise<HookOutcome> {
    let request = first;
    let outcome: HookOutcome = {};
    await this.#each('onRequest', async (hooks) => {
      const result = checked(checkRequestResult, await hooks.onRequest?.(request));
      if (result === undefined) return false;
      outcome = result;
      if (result.body !== undefined) request = withBody(request, result.body);
      return result.response !== undefined;
    });
    return outcome;
  }

  /** Each hook sees what the one before has left of the event. */
  async #onChunk(request: LlmRequest, first: LlmEvent): Promise<HookOutcome> {
    deepFreeze(first);
    let events: EventList = [first];
    await this.#each('onChunk', async (hooks) => {
      const left: (LlmEvent | LlmDelta)[] = [];
      for (const event of events) {
        const whole = (
          'raw' in event ? event : { id: null, name: null, ...event, raw: first.raw }
        ) as LlmEvent;
        const returned = await hooks.onChunk?.(request, Object.freeze(whole));
        const result = checked((value) => checkEvents(value, whole), returned);
        left.push(...(result ?? [whole]));
      }
      events = left;
    });
    return events.length === 1 && events[0] === first ? {} : { events: events.map(withoutRaw) };
  }

  async #onResponse(request: LlmRequest, first: LlmResponse): Promise<HookOutcome> {
    let response: LlmResponse = deepFreeze(first);
    let outcome: HookOutcome = {};
    await this.#each('onResponse', async (hooks) => {
      const result = checked(checkBodyResult, await hooks.onResponse?.(request, response));
      if (result === undefined) return;
      outcome = result;
      response = deepFreeze({ ...response, ...result });
    });
    return outcome;
  }

  /** `step` resolves to true when the ones that follow are not asked. */
  async #each(name: HookName, step: (hooks: LlmHooks) => unknown): Promise<void> {
    const having = this.#hooks.filter((hooks) => hooks[name] !== undefined);
    for (const hooks of having) {
      try {
        if ((await step(hooks)) === true) return;
      } catch (thrown) {
        if (this.#failClosed || having.length === 1 || clientErrorStatus(thrown) !== undefined) throw thrown;
        this.#onSkipped(thrown);
      }
    }
  }
}

type EventList = readonly (LlmEvent | LlmDelta)[];

/** The surface's own event is where it came from already. */
function withoutRaw(event: LlmEvent | LlmDelta): LlmDelta {
  const { raw: _raw, ...rest } = event as LlmEvent;
  return rest as LlmDelta;
}
