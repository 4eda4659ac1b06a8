import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Containment } from '../../src/containment/containment.ts';
import { compileEvaluators } from '../../src/pipeline/evaluators.ts';
import type { Member } from '../../src/pipeline/member.ts';
import type { Evaluator, MaskSpan } from '../../src/plugin-api/evaluator.ts';
import { kinds, signal } from '../containment/support.ts';
import {
  createGate,
  createMember,
  FAILURES,
  llmRequest,
  llmResponse,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

function evaluating(name: string, evaluator: Record<string, unknown>, options?: MemberOptions): TestMember {
  const whole = { name, mode: 'block', ...evaluator } as unknown as Evaluator;
  return createMember(name, (bag) => void bag.evaluators.push(whole), options);
}

function compile(...members: readonly Member[]): ReturnType<typeof compileEvaluators> {
  return compileEvaluators(new Containment(), members);
}

/** Lets evaluators that run beside the request come to their end. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const SIDES = ['input', 'output'] as const;

async function evaluate(
  phases: ReturnType<typeof compileEvaluators>,
  side: (typeof SIDES)[number],
): Promise<readonly MaskSpan[] | undefined> {
  if (side === 'input') return phases.evaluateInput?.(llmRequest(), null);
  return phases.evaluateOutput?.(llmRequest(), llmResponse(), null);
}

describe('evaluator phases', () => {
  it('are null for a side that nobody judges', () => {
    const none = compile(createMember('a', () => undefined));
    assert.deepEqual(none, {
      evaluateInput: null,
      evaluateOutput: null,
      outputWindow: 0,
      observeOutput: null,
    });
    const input = compile(evaluating('a', { input: () => undefined }));
    assert.deepEqual([input.evaluateOutput, input.observeOutput], [null, null]);
    const output = compile(evaluating('a', { output: () => undefined, mode: 'observe' }));
    assert.deepEqual([output.evaluateInput, output.evaluateOutput], [null, null]);
  });
});

for (const side of SIDES) {
  describe(`a block evaluator’s ${side}`, () => {
    it('passes with a verdict, and with nothing', async () => {
      await evaluate(
        compile(
          evaluating('a', { [side]: () => ({ action: 'pass' }) }),
          evaluating('b', { [side]: async () => undefined }),
        ),
        side,
      );
    });

    it('refuses with 400 content_filter and its own message, and the next is not asked', async () => {
      const phases = compile(
        evaluating('no-secrets', { [side]: async () => ({ action: 'block', message: 'A private key' }) }),
        evaluating('b', { [side]: () => assert.fail('asked') }),
      );
      await assert.rejects(evaluate(phases, side), {
        code: 'content_filter',
        status: 400,
        message: 'A private key',
      });
      await assert.rejects(
        evaluate(compile(evaluating('no-secrets', { [side]: () => ({ action: 'block' }) })), side),
        {
          message: 'Refused by the evaluator "no-secrets"',
        },
      );
    });

    it('may refuse by a thrown 4xx', async () => {
      const thrown = refusal(403);
      const refuses = evaluating('a', { [side]: () => Promise.reject(thrown) });
      await assert.rejects(evaluate(compile(refuses), side), (error) => error === thrown);
      assert.deepEqual(refuses.owner.failures, []);
    });

    for (const [how, fail, kind] of FAILURES) {
      it(`that ${how} stops the request`, async () => {
        const bad = evaluating('bad', { [side]: fail }, { callTimeoutMs: 10 });
        await assert.rejects(evaluate(compile(bad), side), {
          code: 'evaluator_unavailable',
          status: 503,
          message: 'The evaluator "bad" is unavailable',
        });
        assert.deepEqual(kinds(bad.owner), [`evaluator ${kind}`]);
      });

      it(`that ${how} lets pass with failOpen, and is counted; the next one judges`, async () => {
        const bad = evaluating('bad', { [side]: fail }, { callTimeoutMs: 10, failOpen: true });
        await evaluate(compile(bad), side);
        assert.deepEqual(kinds(bad.owner), [`evaluator ${kind}`]);
        const next = evaluating('next', { [side]: () => ({ action: 'block' }) });
        await assert.rejects(evaluate(compile(bad, next), side), { code: 'content_filter' });
      });
    }

    for (const garbage of [
      true,
      'pass',
      {},
      { action: 'allow' },
      { action: 'BLOCK' },
      { action: 'block', message: 7 },
      [],
      { action: 1n },
    ]) {
      it(`that answers ${typeof garbage === 'object' && garbage && 'action' in garbage ? String(garbage.action) : JSON.stringify(garbage)} stops the request`, async () => {
        const bad = evaluating('bad', { [side]: () => garbage });
        await assert.rejects(evaluate(compile(bad), side), { code: 'evaluator_unavailable' });
        assert.deepEqual(kinds(bad.owner), ['evaluator invalid']);
      });
    }

    it('stops the request while the plugin is quarantined; with failOpen it lets pass', async () => {
      const resting = { [side]: () => assert.fail('asked') };
      const gate = createGate(false);
      await assert.rejects(evaluate(compile(evaluating('a', resting, { gate })), side), {
        code: 'evaluator_unavailable',
      });
      await evaluate(compile(evaluating('a', resting, { gate, failOpen: true })), side);
    });

    it('is the trial of a quarantined plugin when one is due', async () => {
      for (const [judge, succeeded] of [
        [() => undefined, true],
        [() => ({ action: 'block' }), true],
        [() => Promise.reject(refusal(403)), true],
        [() => Promise.reject(new Error('x')), false],
        [() => 'garbage', false],
      ] as const) {
        const gate = createGate(true);
        await evaluate(compile(evaluating('a', { [side]: judge }, { gate })), side).catch(() => undefined);
        assert.deepEqual(gate.trials, [succeeded]);
      }
    });

    it('masks what it judges: the masks of several add up', async () => {
      const mask = (start: number, end: number, fields = {}): Record<string, unknown> => ({
        [side]: () => ({ action: 'mask', spans: [{ start, end, ...fields }] }),
      });
      const phases = compile(evaluating('a', mask(0, 1)), evaluating('b', mask(1, 2, { replacement: '' })));
      assert.deepEqual(await evaluate(phases, side), [
        { start: 0, end: 1 },
        { start: 1, end: 2, replacement: '' },
      ]);
      const blocked = compile(
        evaluating('a', mask(0, 1)),
        evaluating('b', { [side]: () => ({ action: 'block' }) }),
      );
      await assert.rejects(evaluate(blocked, side), { code: 'content_filter' });
    });

    for (const span of [
      {},
      null,
      [0, 1],
      { start: 0 },
      { start: 1, end: 1 },
      { start: -1, end: 1 },
      { start: 0, end: 3 },
      { start: 0, end: 0.5 },
      { start: 0, end: 1, replacement: 7 },
    ]) {
      it(`that masks ${JSON.stringify(span)} of a text of two characters stops the request`, async () => {
        const bad = evaluating('bad', { [side]: () => ({ action: 'mask', spans: [span] }) });
        await assert.rejects(evaluate(compile(bad), side), { code: 'evaluator_unavailable' });
        assert.deepEqual(kinds(bad.owner), ['evaluator invalid']);
      });
    }

    it('sees request and answer frozen', async () => {
      const seen: unknown[] = [];
      await evaluate(
        compile(
          evaluating('a', {
            [side]: (...values: { body: object }[]) =>
              void seen.push(...values.map(({ body }) => Object.isFrozen(body))),
          }),
        ),
        side,
      );
      assert.deepEqual(seen, side === 'input' ? [true] : [true, true]);
    });
  });
}

describe('the window of block evaluators', () => {
  it('is the widest of those that judge answers', () => {
    const judge = { output: () => undefined };
    const windows = (...evaluators: object[]): number =>
      compile(...evaluators.map((each) => evaluating('a', { ...each }))).outputWindow;
    assert.equal(windows(judge), 256);
    assert.equal(windows({ ...judge, window: 10 }, { ...judge, window: 20 }), 20);
    assert.equal(windows({ ...judge, window: 10 }, { input: judge.output, window: 20 }), 10);
    assert.equal(windows({ ...judge, window: 10 }, { ...judge, window: 'all' }), Number.POSITIVE_INFINITY);
  });
});

describe('an observe evaluator', () => {
  it('runs none of its code before the request goes on', async () => {
    let ran = false;
    const note = (): void => {
      ran = true;
    };
    const phases = compile(evaluating('a', { mode: 'observe', input: note, output: note }));
    await phases.evaluateInput?.(llmRequest(), null);
    phases.observeOutput?.(llmRequest(), llmResponse(), null);
    assert.equal(ran, false);
    await turn();
    assert.equal(ran, true);
  });

  it('never holds up or refuses a request', async () => {
    const hanging = signal();
    const phases = compile(
      evaluating('slow', { mode: 'observe', input: () => hanging.done, output: () => hanging.done }),
      evaluating('strict', {
        mode: 'observe',
        input: () => ({ action: 'block' }),
        output: () => ({ action: 'block' }),
      }),
    );
    await phases.evaluateInput?.(llmRequest(), null);
    phases.observeOutput?.(llmRequest(), llmResponse(), null);
    hanging.resolve();
  });

  it('is asked beside the block evaluators', async () => {
    const asked: string[] = [];
    const phases = compile(
      evaluating('block', { input: () => void asked.push('block') }),
      evaluating('observe', { mode: 'observe', input: () => void asked.push('observe') }),
    );
    await phases.evaluateInput?.(llmRequest(), null);
    await turn();
    assert.deepEqual(asked.sort(), ['block', 'observe']);
  });

  for (const fail of [
    () => {
      throw new Error('x');
    },
    async () => {
      throw refusal(404);
    },
    () => 'garbage',
  ]) {
    it('that fails is counted, and no request notices', async () => {
      const bad = evaluating('bad', { mode: 'observe', input: fail, output: fail });
      const phases = compile(bad);
      await phases.evaluateInput?.(llmRequest(), null);
      phases.observeOutput?.(llmRequest(), llmResponse(), null);
      await turn();
      assert.equal(bad.owner.counters('evaluator').calls, 2);
    });
  }

  it('of a quarantined plugin is skipped', async () => {
    const phases = compile(
      evaluating('a', { mode: 'observe', input: () => assert.fail('asked') }, { gate: createGate(false) }),
    );
    await phases.evaluateInput?.(llmRequest(), null);
    await turn();
  });
});
