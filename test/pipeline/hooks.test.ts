import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileHooks } from '../../src/pipeline/hooks.ts';
import type { Member } from '../../src/pipeline/member.ts';
import type { LlmHooks } from '../../src/plugin-api/llm.ts';
import type { LlmEvent } from '../../src/plugin-api/llm-event.ts';
import { kinds } from '../containment/support.ts';
import {
  candidate,
  createGate,
  createMember,
  FAILURES,
  llmRequest,
  llmResponse,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

const NAMES = ['onRequest', 'onRoute', 'onChunk', 'onResponse', 'onError'] as const;
type HookName = (typeof NAMES)[number];

function hooked(name: string, hooks: Record<string, unknown>, options?: MemberOptions): TestMember {
  return createMember(name, (bag) => void bag.hooks.push(hooks as LlmHooks), options);
}

function compile(...members: readonly Member[]): ReturnType<typeof compileHooks> {
  return compileHooks(new Containment(), members);
}

const EVENT: LlmEvent = Object.freeze({ type: 'text', choice: 0, index: 0, text: 'a', raw: { choices: [] } });
const ROUTE = { deployment: candidate('echo/0'), strategy: 'simple-shuffle', attempt: 1 };

/** Runs one phase with proper arguments. */
async function run(phases: ReturnType<typeof compileHooks>, name: HookName): Promise<unknown> {
  const phase = phases[name];
  assert.ok(phase, name);
  switch (name) {
    case 'onRequest':
      return phases.onRequest?.(llmRequest(), null);
    case 'onRoute':
      return phases.onRoute?.(llmRequest(), ROUTE, null);
    case 'onChunk':
      return phases.onChunk?.(llmRequest(), EVENT, null);
    case 'onResponse':
      return phases.onResponse?.(llmRequest(), llmResponse(), null);
    case 'onError':
      phases.onError?.(llmRequest(), new Error('x'), null);
      return new Promise((resolve) => setImmediate(resolve));
  }
}

describe('hook phases', () => {
  it('are null when nobody hooks them', () => {
    const none = compile(
      createMember('a', () => undefined),
      createMember('b', null),
    );
    for (const name of NAMES) assert.equal(none[name], null);
    for (const only of NAMES) {
      const phases = compile(hooked('a', { [only]: () => undefined }));
      assert.deepEqual(
        NAMES.filter((name) => phases[name] !== null),
        [only],
      );
    }
  });

  it('run the hooks in load order, each as the method of its object', async () => {
    for (const name of NAMES) {
      const ran: string[] = [];
      const hook = (label: string): object => ({
        label,
        [name](this: { label: string }) {
          ran.push(this.label);
        },
      });
      const both = createMember(
        'b',
        (bag) => void bag.hooks.push(hook('b1') as LlmHooks, hook('b2') as LlmHooks),
      );
      await run(compile(hooked('a', hook('a') as never), both), name);
      assert.deepEqual(ran, ['a', 'b1', 'b2'], name);
    }
  });

  for (const name of NAMES) {
    for (const [how, fail, kind] of FAILURES) {
      it(`${name}: a hook that ${how} is skipped and counted, and the next one runs`, async (t) => {
        let ran = false;
        const bad = hooked('bad', { [name]: fail }, { callTimeoutMs: 10 });
        const next = hooked('next', {
          [name]: () => {
            ran = true;
          },
        });
        await run(compile(bad, next), name);
        assert.equal(ran, true);
        await t.waitFor(() => assert.deepEqual(kinds(bad.owner), [`hook ${kind}`]), { interval: 1 });
      });
    }

    it(`${name}: a quarantined plugin’s hook is skipped`, async () => {
      const phases = compile(
        hooked('a', { [name]: () => assert.fail('called') }, { gate: createGate(false) }),
      );
      await run(phases, name);
    });

    it(`${name}: is the trial of a quarantined plugin when one is due`, async () => {
      for (const [hook, succeeded] of [
        [() => undefined, true],
        [() => Promise.reject(refusal(403)), true],
        [() => Promise.reject(new Error('x')), false],
      ] as const) {
        const gate = createGate(true);
        await run(compile(hooked('a', { [name]: hook }, { gate })), name).catch(() => undefined);
        assert.deepEqual(gate.trials, [succeeded]);
      }
    });
  }

  for (const name of NAMES.filter((each) => each !== 'onError')) {
    it(`${name}: a hook’s own 4xx refuses the call`, async () => {
      const thrown = refusal(429);
      const refuses = hooked('a', { [name]: () => Promise.reject(thrown) });
      await assert.rejects(run(compile(refuses), name), (error) => error === thrown);
      assert.deepEqual(refuses.owner.failures, []);
    });

    it(`${name}: a plugin that fails closed answers 503 when its hook fails or is quarantined`, async () => {
      const failing = hooked('bad', { [name]: () => Promise.reject(new Error('x')) }, { failClosed: true });
      await assert.rejects(run(compile(failing), name), { status: 503, code: 'plugin_error', plugin: 'bad' });
      const hanging = hooked(
        'bad',
        { [name]: () => new Promise(() => undefined) },
        { failClosed: true, callTimeoutMs: 10 },
      );
      await assert.rejects(run(compile(hanging), name), { status: 503, code: 'plugin_timeout' });
      const resting = hooked(
        'bad',
        { [name]: () => undefined },
        { failClosed: true, gate: createGate(false) },
      );
      await assert.rejects(run(compile(resting), name), { status: 503, code: 'plugin_quarantined' });
    });
  }

  it('refuse every call while a plugin that fails closed did not start', async () => {
    const phases = compile(createMember('missing', null, { guards: { requests: true }, failClosed: true }));
    await assert.rejects(run(phases, 'onRequest'), { status: 503, plugin: 'missing' });
  });
});

describe('onRequest', () => {
  it('leaves the request as it is when hooks return nothing', async () => {
    const request = llmRequest();
    const outcome = await compile(hooked('a', { onRequest: () => undefined })).onRequest?.(request, null);
    assert.deepEqual(outcome, { request, response: null });
    assert.equal(outcome?.request, request);
  });

  it('gives each hook what the one before has made of it: body, model and stream', async () => {
    const seen: unknown[] = [];
    const outcome = await compile(
      hooked('a', { onRequest: () => ({ body: { model: 'gpt-4o', stream: true } }) }),
      hooked('b', {
        onRequest: ({ model, stream }: { model: string; stream: boolean }) => void seen.push(model, stream),
      }),
    ).onRequest?.(llmRequest(), null);
    assert.deepEqual(seen, ['gpt-4o', true]);
    assert.deepEqual(outcome?.request.body, { model: 'gpt-4o', stream: true });
    assert.equal(outcome?.request.id, 'req-1');
  });

  it('ends with the first hook that answers', async () => {
    const outcome = await compile(
      hooked('a', { onRequest: () => ({ response: { id: 'cached' } }) }),
      hooked('b', { onRequest: () => assert.fail('called') }),
    ).onRequest?.(llmRequest(), null);
    assert.deepEqual(outcome?.response, { id: 'cached' });
  });

  it('shows a frozen body: what a hook does to it in place fails as its own', async () => {
    const bad = hooked('bad', {
      onRequest: ({ body }: { body: { messages: unknown[] } }) => void body.messages.push('injected'),
    });
    const outcome = await compile(bad).onRequest?.(llmRequest(), null);
    assert.deepEqual(outcome?.request.body, llmRequest().body);
    assert.deepEqual(kinds(bad.owner), ['hook error']);
  });

  it('keeps no reference of the hook’s own', async () => {
    const body = { model: 'x', messages: [] as string[] };
    const response = { choices: [] as string[] };
    const changed = await compile(hooked('a', { onRequest: () => ({ body }) })).onRequest?.(
      llmRequest(),
      null,
    );
    const answered = await compile(hooked('a', { onRequest: () => ({ response }) })).onRequest?.(
      llmRequest(),
      null,
    );
    body.messages.push('later');
    response.choices.push('later');
    assert.deepEqual(changed?.request.body.messages, []);
    assert.deepEqual(answered?.response, { choices: [] });
  });

  const circular: Record<string, unknown> = {};
  circular.self = circular;
  for (const [what, answer] of [
    ['a string', 'x'],
    ['a list', []],
    ['a body that is no object', { body: 'x' }],
    ['a body that is a list', { body: [] }],
    ['neither body nor response', {}],
    ['a response that is no object', { response: 'x' }],
    ['a body that is no JSON: circular', { body: circular }],
    ['a body that is no JSON: big integers', { body: { n: 1n } }],
    ['a response that is no JSON', { response: circular }],
    ['a body whose toJSON makes it a string', { body: { toJSON: () => 'x' } }],
    [
      'hostile getters',
      {
        get body() {
          throw refusal(404);
        },
      },
    ],
  ] as const) {
    it(`skips and counts a hook that answers ${what}`, async () => {
      const bad = hooked('bad', { onRequest: () => answer });
      const request = llmRequest();
      assert.deepEqual(await compile(bad).onRequest?.(request, null), { request, response: null });
      assert.deepEqual(kinds(bad.owner), ['hook invalid']);
    });
  }
});

describe('onChunk', () => {
  const delta = (text: string, fields: object = {}): object => ({
    type: 'text',
    choice: 0,
    index: 0,
    text,
    ...fields,
  });
  const passed = (
    ...hooks: ((request: unknown, event: LlmEvent) => unknown)[]
  ): Promise<unknown> | undefined =>
    compile(...hooks.map((hook, at) => hooked(`h${at}`, { onChunk: hook }))).onChunk?.(
      llmRequest(),
      EVENT,
      null,
    );

  it('leaves events as they are, changes, multiplies or holds them back', async () => {
    for (const same of [undefined, EVENT, [EVENT]]) assert.deepEqual(await passed(() => same), [EVENT]);
    assert.deepEqual(await passed(() => ({ ...EVENT, text: 'b', raw: undefined })), [delta('b')]);
    assert.deepEqual(await passed(() => [delta('held'), EVENT]), [delta('held'), EVENT]);
    assert.deepEqual(await passed(() => null), []);
  });

  it('gives each hook what the one before has left', async () => {
    const seen: string[] = [];
    const note = (_request: unknown, event: LlmEvent): void =>
      void seen.push('text' in event ? event.text : '', JSON.stringify(event.raw));
    await passed(() => [delta('b'), delta('c')], note);
    assert.deepEqual(seen, ['b', '{"choices":[]}', 'c', '{"choices":[]}']);
    await passed(
      () => null,
      () => assert.fail('called'),
    );
  });

  for (const [what, answer] of [
    ['a text', 'x'],
    ['a number', 7],
    ['the event of the surface', { choices: [{ index: 0, delta: { content: 'a' } }] }],
    ['a type that there is not', delta('a', { type: 'texts' })],
    ['another type than that of the event', { type: 'finish', choice: 0 }],
    ['a delta without a text', delta('a', { text: undefined })],
    ['a delta without its place', delta('a', { index: undefined })],
    ['a list with one of them', [EVENT, { choices: [] }]],
  ] as const) {
    it(`skips and counts a hook that answers with ${what}`, async () => {
      const bad = hooked('bad', { onChunk: () => answer });
      assert.deepEqual(await compile(bad).onChunk?.(llmRequest(), EVENT, null), [EVENT]);
      assert.deepEqual(kinds(bad.owner), ['hook invalid']);
      assert.match(
        bad.owner.failures[0]?.error.message ?? '',
        /expected nothing, null, the event, or deltas/,
      );
    });
  }
});

describe('onResponse', () => {
  it('gives each hook what the one before has made of it', async () => {
    const seen: unknown[] = [];
    const response = await compile(
      hooked('a', { onResponse: () => ({ body: { by: 'a' } }) }),
      hooked('b', { onResponse: (_request: unknown, { body }: { body: unknown }) => void seen.push(body) }),
    ).onResponse?.(llmRequest(), llmResponse({ text: 'kept' }), null);
    assert.deepEqual(seen, [{ by: 'a' }]);
    assert.deepEqual(response, { body: { by: 'a' }, text: 'kept', final: true, usage: null });
    assert.ok(Object.isFrozen(response?.body));
  });

  for (const answer of ['x', {}, { body: 7 }]) {
    it(`skips and counts a hook that answers ${JSON.stringify(answer)}`, async () => {
      const bad = hooked('bad', { onResponse: () => answer });
      const response = llmResponse();
      assert.deepEqual(await compile(bad).onResponse?.(llmRequest(), response, null), response);
      assert.deepEqual(kinds(bad.owner), ['hook invalid']);
    });
  }
});
