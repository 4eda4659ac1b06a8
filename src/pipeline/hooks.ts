import { type CallSite, type Containment, ignoreResult, isAnswer } from '../containment/containment.ts';
import { GatewayError, isGatewayError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import type { LlmHooks, LlmRequest, LlmResponse } from '../plugin-api/llm.ts';
import type { LlmDelta, LlmEvent } from '../plugin-api/llm-event.ts';
import type { RequestScope } from '../request-scope.ts';
import { invoke, type Member } from './member.ts';
import { notStarted } from './middleware.ts';
import type { LlmPhases, RequestOutcome } from './types.ts';

type HookName = keyof LlmHooks;
type HookPhases = Pick<LlmPhases, 'onRequest' | 'onRoute' | 'onChunk' | 'onResponse' | 'onError'>;

interface Entry {
  readonly member: Member;
  readonly hooks: LlmHooks;
}

/** Compiles the LLM hooks of all plugins; a phase that no plugin hooks is `null`. */
export function compileHooks(containment: Containment, members: readonly Member[]): HookPhases {
  const entries = members.flatMap((member) => (member.bag?.hooks ?? []).map((hooks) => ({ member, hooks })));
  const missing = members.find((member) => member.bag === null && member.guards.requests);
  const runner = new HookRunner(containment);
  const having = (name: HookName): Entry[] => entries.filter(({ hooks }) => hooks[name] !== undefined);
  return {
    onRequest: missing === undefined ? onRequest(runner, having('onRequest')) : refuse(missing),
    onRoute: onRoute(runner, having('onRoute')),
    onChunk: onChunk(runner, having('onChunk')),
    onResponse: onResponse(runner, having('onResponse')),
    onError: onError(runner, having('onError')),
  };
}

/** Runs one hook of one plugin, and decides what its failure means. */
class HookRunner {
  readonly #containment: Containment;

  constructor(containment: Containment) {
    this.#containment = containment;
  }

  /**
   * `undefined` when the hook returned nothing, or failed and is skipped.
   *
   * @throws the hook's own 4xx, or 503 for plugins that fail closed
   */
  async run<T>(
    { member }: Entry,
    name: HookName,
    request: LlmRequest,
    scope: RequestScope | null,
    check: CallSite<T>['check'],
    fn: () => unknown,
  ): Promise<T | undefined> {
    const what = `llm hook ${name}`;
    const site: CallSite<T> = { owner: member.owner, phase: 'hook', what, check, about: request };
    try {
      return await invoke(this.#containment, member.gate, site, scope, fn);
    } catch (thrown) {
      if (isAnswer(thrown)) throw thrown;
      if (!member.failClosed) return undefined;
      const code = isGatewayError(thrown) ? thrown.code : 'plugin_error';
      throw new GatewayError(code, `Plugin "${member.name}": llm hook ${name} is unavailable`, {
        status: 503,
        plugin: member.name,
        cause: thrown,
      });
    }
  }
}

function refuse(member: Member): LlmPhases['onRequest'] {
  return async () => {
    throw notStarted(member);
  };
}

function onRequest(runner: HookRunner, entries: readonly Entry[]): LlmPhases['onRequest'] {
  if (entries.length === 0) return null;
  return async (first, scope): Promise<RequestOutcome> => {
    let request = first;
    deepFreeze(request.body);
    for (const entry of entries) {
      const current = request;
      const result = await runner.run(entry, 'onRequest', current, scope, checkRequestResult, () =>
        entry.hooks.onRequest?.(current),
      );
      if (result?.response !== undefined) return { request, response: result.response };
      if (result?.body !== undefined) request = withBody(request, result.body);
    }
    return { request, response: null };
  };
}

function onRoute(runner: HookRunner, entries: readonly Entry[]): LlmPhases['onRoute'] {
  if (entries.length === 0) return null;
  return async (request, route, scope) => {
    for (const entry of entries) {
      await runner.run(entry, 'onRoute', request, scope, ignoreResult, () =>
        entry.hooks.onRoute?.(request, route),
      );
    }
  };
}

/** Each hook sees what the one before has left of the event; one that fails is as if it had returned nothing. */
function onChunk(runner: HookRunner, entries: readonly Entry[]): LlmPhases['onChunk'] {
  if (entries.length === 0) return null;
  return async (request, first, scope) => {
    let events: EventList = [first];
    for (const entry of entries) {
      const left: (LlmEvent | LlmDelta)[] = [];
      for (const event of events)
        left.push(...(await passEvent(runner, entry, request, scope, event, first)));
      events = left;
    }
    return events;
  };
}

/** What is left of an event. */
export type EventList = readonly (LlmEvent | LlmDelta)[];

async function passEvent(
  runner: HookRunner,
  entry: Entry,
  request: LlmRequest,
  scope: RequestScope | null,
  event: LlmEvent | LlmDelta,
  { raw }: LlmEvent,
): Promise<EventList> {
  // A delta that another hook has made comes without the surface's event.
  const whole = Object.freeze('raw' in event ? event : { id: null, name: null, ...event, raw }) as LlmEvent;
  const result = await runner.run(
    entry,
    'onChunk',
    request,
    scope,
    (value) => checkEvents(value, whole),
    () => entry.hooks.onChunk?.(request, whole),
  );
  return result ?? [whole];
}

function onResponse(runner: HookRunner, entries: readonly Entry[]): LlmPhases['onResponse'] {
  if (entries.length === 0) return null;
  return async (request, first, scope) => {
    let response: LlmResponse = deepFreeze(first);
    for (const entry of entries) {
      const current = response;
      const result = await runner.run(entry, 'onResponse', request, scope, checkBodyResult, () =>
        entry.hooks.onResponse?.(request, current),
      );
      if (result?.body !== undefined) response = withAnswer(response, result.body);
    }
    return response;
  };
}

/** Of a stream too, whose body is put together when it is read. */
function withAnswer(
  { text, final, usage }: LlmResponse,
  body: Readonly<Record<string, unknown>>,
): LlmResponse {
  return deepFreeze({ body, text, final, usage });
}

/** Observes: the client has its error already. */
function onError(runner: HookRunner, entries: readonly Entry[]): LlmPhases['onError'] {
  if (entries.length === 0) return null;
  return (request, error, scope) => {
    for (const entry of entries) {
      runner
        .run(entry, 'onError', request, scope, ignoreResult, () => entry.hooks.onError?.(request, error))
        .catch(ignoreResult);
    }
  };
}

/** A changed body changes what the gateway acts on as well: the model asked for, and whether to stream. */
function withBody(request: LlmRequest, body: Readonly<Record<string, unknown>>): LlmRequest {
  const model = typeof body.model === 'string' ? body.model : request.model;
  const changed = { ...request, body: deepFreeze(body), model, stream: body.stream === true };
  // With its prototype: what a request computes from its body (`text`) is to follow the new one.
  return Object.freeze(Object.assign(Object.create(Object.getPrototypeOf(request)) as LlmRequest, changed));
}

type RequestResult = { readonly body?: Record<string, unknown>; readonly response?: Record<string, unknown> };

/**
 * What `onRequest` has returned, checked; `undefined`: nothing.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkRequestResult(value: unknown): RequestResult | undefined {
  if (value === undefined || value === null) return undefined;
  const { body, response } = asObject(value, 'nothing, { body } or { response }');
  if (response !== undefined) return { response: copied(response, 'response: an object') };
  return { body: copied(body, 'nothing, { body } or { response }') };
}

/**
 * What `onResponse` has returned, checked; `undefined`: nothing.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkBodyResult(value: unknown): { readonly body: Record<string, unknown> } | undefined {
  if (value === undefined || value === null) return undefined;
  return { body: copied(asObject(value, 'nothing or { body }').body, 'nothing or { body }') };
}

const DELTAS: readonly unknown[] = ['text', 'reasoning', 'tool-input'];
const EXPECTED_EVENT =
  'nothing, null, the event, or deltas { type, choice, index, text }; the event of the surface itself is read-only, as event.raw';

/**
 * What `onChunk` has returned, checked. `undefined`: the event goes on as it is.
 *
 * @throws Error that says what was seen and what is expected
 */
export function checkEvents(value: unknown, event: LlmEvent): EventList | undefined {
  if (value === undefined || value === event) return undefined;
  if (value === null) return [];
  if (!Array.isArray(value)) return [checkEvent(value, event)];
  return value.map((each) => checkEvent(each, event));
}

function checkEvent(value: unknown, event: LlmEvent): LlmEvent | LlmDelta {
  if (value === event) return event;
  const { type, choice, index, text } = asObject(value, EXPECTED_EVENT);
  // A copy of the event, from another process say, stands for the event.
  if (type === event.type && !DELTAS.includes(type)) return event;
  if (DELTAS.includes(type) && isIndex(choice) && isIndex(index) && typeof text === 'string')
    return { type: type as LlmDelta['type'], choice, index, text };
  throw new Error(`saw an object of type ${JSON.stringify(type) ?? 'undefined'}, expected ${EXPECTED_EVENT}`);
}

function isIndex(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

/** What would reach the wire of it, and nothing of the plugin's own. What is no JSON is refused here, as its fault. */
function copied(value: unknown, expected: string): Record<string, unknown> {
  return asObject(JSON.parse(JSON.stringify(asObject(value, expected))), expected);
}

function asObject(value: unknown, expected: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Error(`saw ${value === null ? 'null' : typeof value}, expected ${expected}`);
}
