import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileBounded } from '../bounded-pattern.ts';

describe('a pattern of the operator’s', () => {
  for (const pattern of [
    'EMP-\\d{6}',
    '(?<![A-Z])[A-Z]{2,3}-\\d{4,8}(?!\\d)',
    '(?:\\d{3}){3}',
    'a(?:b|c|dd)?e',
    '\\p{Lu}\\p{Ll}{1,20} \\u{1f600}\\x41[\\]+*(]{1,3}',
    '(?<year>\\d{4})-\\d\\d',
    'colou?r',
  ]) {
    it(`may be ${pattern}`, () => {
      assert.equal(compileBounded(pattern, false).source, new RegExp(pattern, 'gu').source);
    });
  }

  for (const [pattern, message] of [
    ['a+', /without an upper bound, expected \{1,20\}/],
    ['a*b', /without an upper bound/],
    ['a{3,}', /without an upper bound/],
    ['(?=a*)b', /without an upper bound/],
    ['(?:a{1,9}){1,9}', /repeats a group that holds quantifiers/],
    ['(?:a|ab){1,30}c', /repeats a group that holds quantifiers or alternatives/],
    ['((a?){2}){3}', /repeats a group/],
    ['\\w{1,20}\\w{1,20}\\w{1,20}x', /can match in 8000 ways at one place, expected at most 1000/],
    ['a{1001}', /matches up to 1001 characters, expected at most 1000/],
    ['(a)\\1', /refers back to a group/],
    ['(?<x>a)\\k<x>', /refers back to a group/],
    ['a(', /Unterminated group/],
    ['[b-a]', /out of order/],
    ['a{', /Incomplete quantifier|Lone quantifier/],
  ] as const) {
    it(`may not be ${pattern}`, () => {
      assert.throws(() => compileBounded(pattern, false), message);
    });
  }

  it('minds capital letters unless it is told not to', () => {
    assert.equal(compileBounded('emp', false).test('EMP'), false);
    assert.equal(compileBounded('emp', true).test('EMP'), true);
  });
});
