import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Contributions } from '../../src/contributions.ts';
import { compileGuards } from '../../src/pipeline/guards.ts';
import { createMember, type MemberOptions } from './support.ts';

const PASS = (): undefined => undefined;

describe('who must not be passed by', () => {
  const cases: [
    name: string,
    fill: ((bag: Contributions) => void) | null,
    options: MemberOptions,
    input: string | null,
    output: string | null,
  ][] = [
    ['nobody', () => undefined, {}, null, null],
    ['a block evaluator of requests', evaluator('block', 'input'), {}, 'evaluator "e"', null],
    ['a block evaluator of answers', evaluator('block', 'output'), {}, null, 'evaluator "e"'],
    ['not one that fails open', evaluator('block', 'input', 'output'), { failOpen: true }, null, null],
    ['not one that observes', evaluator('observe', 'input', 'output'), {}, null, null],
    ['not a hook that is skipped when it fails', hooks('onRequest', 'onResponse'), {}, null, null],
    [
      'a hook of a plugin that fails closed',
      hooks('onRequest'),
      { failClosed: true },
      'llm hook of plugin "p"',
      null,
    ],
    ['its hook of answers', hooks('onResponse'), { failClosed: true }, null, 'llm hook of plugin "p"'],
    ['not its hooks that observe', hooks('onRoute', 'onError'), { failClosed: true }, null, null],
    ['every hook of streamed events', hooks('onChunk'), {}, null, 'llm hook of plugin "p"'],
    ['not a plugin that did not start', null, {}, null, null],
    [
      'a plugin that fails closed and did not start',
      null,
      { failClosed: true, guards: { requests: true } },
      'plugin "p"',
      'plugin "p"',
    ],
  ];
  for (const [name, fill, options, input, output] of cases) {
    it(name, () => {
      const { inputGuard, outputGuard } = compileGuards([createMember('p', fill, options)]);
      assert.deepEqual(inputGuard, input === null ? null : { plugin: 'p', what: input });
      assert.deepEqual(outputGuard, output === null ? null : { plugin: 'p', what: output });
    });
  }
});

function evaluator(mode: 'block' | 'observe', ...sides: ('input' | 'output')[]) {
  return (bag: Contributions): void => {
    bag.evaluators.push({ name: 'e', mode, ...Object.fromEntries(sides.map((side) => [side, PASS])) });
  };
}

function hooks(...names: string[]) {
  return (bag: Contributions): void => {
    bag.hooks.push(Object.fromEntries(names.map((name) => [name, PASS])));
  };
}
